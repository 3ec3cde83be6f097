#include "merge/iommu_set.hpp"

#include <algorithm>

#include "early/dma.hpp"
#include "merge/group.hpp"

namespace vfiolab::merge {

void IommuSet::Add(Group& group) {
  groups_.push_back(&group);
  group.iommu_group().Attach(ioas_);
}

void IommuSet::Remove(Group& group) {
  std::erase(groups_, &group);
  group.iommu_group().Attach(nullptr);
}

bool IommuSet::viable() const { return std::ranges::all_of(groups_, &Group::all_bound); }

Result<> IommuSet::CheckLock(const std::shared_ptr<AddressSpace>& who) const {
  if (locked_by_ != nullptr && locked_by_ != who)
    return Fail(EPERM, "the groups are another process's");
  return {};
}

Result<> IommuSet::Open(std::shared_ptr<AddressSpace> who) {
  if (!viable()) return Fail(EBUSY, "a function of the groups is not bound to vfio");
  if (revision_.needs_interrupt_isolation && !machine_.iommu().interrupt_isolation &&
      machine_.parameters().allow_unsafe_intrs == 0)
    return Fail(EFAULT, "interrupts are not remapped: allow_unsafe_intrs");
  ioas_ = std::make_shared<Ioas>();
  locked_by_ = std::move(who);
  for (Group* group : groups_) group->iommu_group().Attach(ioas_);
  return {};
}

void IommuSet::Close() {
  if (!open()) return;
  for (Group* group : groups_) group->iommu_group().Attach(nullptr);
  early::RemoveAll(*ioas_);
  ioas_.reset();
  locked_by_.reset();
}

void IommuSet::RemoveFile() {
  --files_;
  Settle();
}

void IommuSet::Settle() {
  if (in_use()) return;
  const auto keep = shared_from_this();
  Close();
  const std::vector<Group*> members = groups_;
  if (members.size() > 1 && std::ranges::none_of(members, &Group::open))
    for (Group* group : members) group->StandAlone();
  for (Group* group : members) group->FinishGivingBack();
}

}  // namespace vfiolab::merge
