#include "august/dma.hpp"
#include "august/files.hpp"
#include "august/structs.hpp"
#include "august/table.hpp"
#include "uapi/copy_in_string.hpp"

namespace vfiolab::august {

using namespace uapi;

GroupFile::GroupFile(Group& group) : group_(group) {
  ++group_.open_groups;
  group_.AddFile();
}

GroupFile::~GroupFile() {
  --group_.open_groups;
  group_.RemoveFile();
  if (group_.open_groups == 0) group_.OnClosed();
}

std::string GroupFile::Name() const {
  return "/dev/vfio/" + std::to_string(group_.iommu_group().id());
}

struct GroupFile::Table {
  using File = GroupFile;
  static constexpr Row<File> kRows[] = {
      {{Number(kRead, 32, 8), "VFIO_GROUP_GET_FLAGS", &File::GetFlags}},
      {{Number(kWrite, 33, sizeof(DmaMap)), "VFIO_GROUP_MAP_DMA", &File::MapDma}, MapsOnGroup},
      {{Number(kWrite, 34, sizeof(DmaMap)), "VFIO_GROUP_UNMAP_DMA", &File::UnmapDma}, MapsOnGroup},
      {{Number(kWrite, 35, 4), "VFIO_GROUP_BIND", &File::Bind}, MapsOnGroup},
      {{Number(kWrite, 36, 4), "VFIO_GROUP_CAPTURE", &File::Capture}, MapsOnGroup},
      {{Plain(37), "VFIO_GROUP_RELEASE", &File::Release}, MapsOnGroup},
      {{Number(kWrite, 38, 1), "VFIO_GROUP_GET_DEVICE_FD", &File::GetDeviceFd}},
  };
};

NamedNumbers GroupFile::IoctlNumbers(const AugustPolicies& policies) {
  return NumbersOf(Table::kRows, policies);
}

Reply GroupFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  return Dispatch(Table::kRows, *this, group_.policies(), caller, command, argument, ENOTTY);
}

Reply GroupFile::GetFlags(const IoctlCall& call) {
  const u64 flags = (group_.viable() ? kGroupViable : 0) | (group_.is_bound() ? kGroupBound : 0) |
                    (group_.owns_others() ? kGroupOwner : 0);
  TRY(call.caller.memory().Store(call.pointer(), flags));
  return 0;
}

Reply GroupFile::MapDma(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<DmaMap>(call.pointer()));
  if (group_.is_bound()) return Fail(EPERM, "the group is bound to another, which maps");
  if (!group_.viable()) return Fail(EBUSY, "a function of the group is not bound to vfio");
  TRY(Map(call.caller, map, group_.machine().iommu(), [this] { return &*group_.context()->ioas; }));
  return 0;
}

Reply GroupFile::UnmapDma(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<DmaMap>(call.pointer()));
  if (group_.is_bound()) return Fail(EPERM, "the group is bound to another, which maps");
  TRY(Unmap(map, *group_.context()->ioas));
  return 0;
}

namespace {

Result<Group*> ImportGroup(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  const auto file = TRY(call.caller.ImportOpenFile(fd));
  auto* group = dynamic_cast<GroupFile*>(file.get());
  if (group == nullptr) return Fail(EINVAL, fmt::format("descriptor {} is no group", fd));
  return &group->group();
}

}  // namespace

Reply GroupFile::Bind(const IoctlCall& call) {
  Group* owner = TRY(ImportGroup(call));
  TRY(group_.BindTo(*owner));
  return 0;
}

Reply GroupFile::Capture(const IoctlCall& call) {
  Group* captured = TRY(ImportGroup(call));
  TRY(captured->BindTo(group_));
  return 0;
}

Reply GroupFile::Release(const IoctlCall&) {
  TRY(group_.Release());
  return 0;
}

Reply GroupFile::GetDeviceFd(const IoctlCall& call) {
  const std::string name = TRY(CopyInString(call));
  if (!group_.viable()) return Fail(EBUSY, "a function of the group is not bound to vfio");
  const auto found = group_.devices().find(name);
  if (found == group_.devices().end())
    return Fail(ENODEV, fmt::format("the group has no device '{}'", name));
  return Completion{0L, std::make_shared<DeviceFile>(*found->second, group_), {}, O_RDWR};
}

}  // namespace vfiolab::august
