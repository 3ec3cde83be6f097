#include "merge/group.hpp"

#include <algorithm>

#include "merge/device.hpp"
#include "merge/iommu_file.hpp"
#include "merge/structs.hpp"
#include "uapi/copy_in_string.hpp"

namespace vfiolab::merge {

using namespace uapi;

Group::Group(Machine& machine, IommuGroup& iommu_group, const Revision& revision,
             std::function<void()> closed)
    : machine_(machine),
      iommu_group_(iommu_group),
      closed_(std::move(closed)),
      set_(std::make_shared<IommuSet>(machine, revision)) {
  set_->Add(*this);
}

Group::~Group() { set_->Remove(*this); }

std::string Group::node_name() const {
  return fmt::format("{}{}", revision().node_prefix, iommu_group_.id());
}

void Group::Add(Device& device) { devices_.emplace(device.slot().bdf(), &device); }

void Group::Remove(Device& device) { devices_.erase(device.slot().bdf()); }

bool Group::all_bound() const { return devices_.size() == iommu_group_.devices().size(); }

// With one that goes others may, too.
void Group::FinishGivingBack() {
  while (!set_->in_use()) {
    const auto waiting = std::ranges::find_if(
        devices_, [](const auto& entry) { return entry.second->wanted_back(); });
    if (waiting == devices_.end()) return;
    waiting->second->FinishGivingBack();
  }
}

void Group::OnClose() {
  --files_;
  const auto set = set_;
  set->Settle();
  if (!open()) closed_();
}

void Group::OnEmptied() {
  if (set_->groups().size() > 1) StandAlone();
}

Result<> Group::Merge(Group& other, const std::shared_ptr<AddressSpace>& who) {
  IommuSet& theirs = *other.set_;
  if (&other == this) return Fail(EINVAL, "a group cannot be merged with itself");
  if (theirs.open()) return Fail(EINVAL, "the other group's IOMMU is open");
  if (theirs.groups().size() > 1) return Fail(EINVAL, "the other group is merged already");
  TRY(theirs.Open(who));
  if (!set_->open()) TRY(set_->Open(who));
  theirs.Close();
  theirs.Remove(other);
  other.set_ = set_;
  set_->Add(other);
  return {};
}

void Group::StandAlone() {
  const auto left = set_;
  left->Remove(*this);
  set_ = std::make_shared<IommuSet>(machine_, left->revision());
  set_->Add(*this);
  if (std::ranges::none_of(left->groups(), &Group::open)) left->Settle();
}

struct GroupFile::Table {
  using enum Calls;
  using File = GroupFile;
  static constexpr RevisedRow<File, Calls> kRows[] = {
      {{Number(kRead, 100, 8), "VFIO_GROUP_GET_FLAGS", &File::GetFlags},
       kLateOctober,
       kLateOctober},
      {{Plain(100), "VFIO_GROUP_GET_INFO", &File::GetInfo}, kDecember, kJanuary},
      {{Number(kWrite, 101, 4), "VFIO_GROUP_MERGE", &File::Merge}, kOctober, kJanuary},
      {{Number(kWrite, 102, 4), "VFIO_GROUP_UNMERGE", &File::UnmergeOther}, kOctober, kLateOctober},
      {{Plain(102), "VFIO_GROUP_UNMERGE", &File::UnmergeThis}, kDecember, kJanuary},
      {{Plain(103), "VFIO_GROUP_GET_IOMMU_FD", &File::GetIommuFd}, kOctober, kJanuary},
      {{Number(kWrite, 104, 8), "VFIO_GROUP_GET_DEVICE_FD", &File::GetDeviceFd},
       kOctober,
       kLateOctober},
      {{Number(kWrite, 104, 4), "VFIO_GROUP_GET_DEVICE_FD", &File::GetDeviceFd, true},
       kOctober,
       kLateOctober},
      {{Number(kWrite, 104, 1), "VFIO_GROUP_GET_DEVICE_FD", &File::GetDeviceFd},
       kDecember,
       kJanuary},
  };
  static_assert(AreUnique(kRows));
};

NamedNumbers GroupFile::IoctlNumbers(const Revision& revision) {
  return NumbersOf(Table::kRows, revision.calls);
}

// Whether it is the question of the revision, which everybody may ask.
bool GroupFile::AsksOnly(u32 command) const {
  const bool october = group_.revision().calls <= Calls::kLateOctober;
  return command == (october ? Number(kRead, 100, 8) : Plain(100)) &&
         group_.revision().calls != Calls::kOctober;
}

Reply GroupFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  const Revision& revision = group_.revision();
  if (!AsksOnly(command) && group_.set()->locked_by() != nullptr) {
    const auto who = TRY(caller.address_space());
    TRY(group_.set()->CheckLock(who));
  }
  return Dispatch(Table::kRows, *this, revision.calls, caller, command, argument,
                  revision.unknown_ioctl);
}

u32 GroupFile::Flags() const {
  return (group_.set()->viable() ? kGroupViable : 0) |
         (group_.set()->locked_by() != nullptr ? kGroupMmLocked : 0);
}

Reply GroupFile::GetFlags(const IoctlCall& call) {
  TRY(call.caller.memory().Store(call.pointer(), u64{Flags()}));
  return 0;
}

Reply GroupFile::GetInfo(const IoctlCall& call) {
  GroupInfo info{};
  TRY(CopyIn(call, info));
  info.flags |= Flags();  // what the client had there stays
  TRY(CopyOut(call, info));
  return 0;
}

Result<Group*> GroupFile::ImportGroup(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  if (fd < 0) return Fail(EINVAL, fmt::format("descriptor {}", fd));
  const auto file = TRY(call.caller.ImportOpenFile(fd));
  const auto* group = dynamic_cast<const GroupFile*>(file.get());
  if (group == nullptr) return Fail(EINVAL, fmt::format("descriptor {} is no group", fd));
  return &group->group_;
}

Reply GroupFile::Merge(const IoctlCall& call) {
  Group* other = TRY(ImportGroup(call));
  const auto who = TRY(call.caller.address_space());
  // Another process may have opened the IOMMU while this one was waited for.
  TRY(group_.set()->CheckLock(who));
  TRY(group_.Merge(*other, who));
  return 0;
}

Result<> GroupFile::Unmerge(Group& group) {
  if (group.open_devices > 0)
    return Fail(EBUSY, fmt::format("{} devices of the group are open", group.open_devices));
  group.StandAlone();
  group.FinishGivingBack();
  return {};
}

Reply GroupFile::UnmergeOther(const IoctlCall& call) {
  Group* other = TRY(ImportGroup(call));
  const auto who = TRY(call.caller.address_space());
  TRY(group_.set()->CheckLock(who));
  if (other == &group_ || other->set() != group_.set())
    return Fail(EINVAL, "that group is not merged with this one");
  TRY(Unmerge(*other));
  return 0;
}

Reply GroupFile::UnmergeThis(const IoctlCall&) {
  if (group_.set()->groups().size() == 1) return Fail(EINVAL, "the group is not merged");
  TRY(Unmerge(group_));
  return 0;
}

Result<> GroupFile::OpenIommu(CallContext& caller) {
  const auto who = TRY(caller.address_space());
  TRY(group_.set()->CheckLock(who));
  return group_.set()->open() ? Result<>() : group_.set()->Open(who);
}

Reply GroupFile::GetIommuFd(const IoctlCall& call) {
  TRY(OpenIommu(call.caller));
  return Completion{0L, std::make_shared<IommuFile>(group_.set()), {}, O_RDWR};
}

Reply GroupFile::GetDeviceFd(const IoctlCall& call) {
  const std::string name = TRY(CopyInString(call));
  TRY(OpenIommu(call.caller));
  for (Group* group : group_.set()->groups())
    for (const auto& [bdf, device] : group->devices())
      if (bdf.ToString() == name)
        return Completion{0L, std::make_shared<DeviceFile>(*device, *group), {}, O_RDWR};
  return Fail(ENODEV, fmt::format("no group of the set has a device '{}'", name));
}

}  // namespace vfiolab::merge
