#include "august/group.hpp"

#include <algorithm>

#include "august/device.hpp"
#include "early/dma.hpp"

namespace vfiolab::august {

Group::Group(Machine& machine, IommuGroup& iommu_group, std::function<void()> closed)
    : machine_(machine), iommu_group_(iommu_group), closed_(std::move(closed)) {
  StandAlone();
}

Group::~Group() { std::erase(context_->groups, this); }

void Group::Add(Device& device) { devices_.emplace(device.name(), &device); }

void Group::Remove(Device& device) { devices_.erase(device.name()); }

bool Group::viable() const { return std::ranges::all_of(context_->groups, &Group::all_bound); }

Result<> Group::CheckOpen() const {
  if (policies().exclusive_open && open_groups > 0)
    return Fail(EBUSY, "somebody has the group open");
  if (policies().open == AugustPolicies::Open::kViable && !all_bound())
    return Fail(EBUSY, "a function of the group is not bound to vfio");
  return {};
}

// Where memory is mapped for domains, a group's DMA leads where that of its devices does.
void Group::Attach() {
  if (policies().dma == AugustPolicies::Dma::kGroup)
    iommu_group_.Attach(in_use() ? context_->ioas : nullptr);
  else
    iommu_group_.Attach(domain_ == nullptr ? nullptr : domain_->ioas());
}

void Group::AddFile() {
  ++files_;
  Attach();
}

void Group::StandAlone() {
  context_ = std::make_shared<Context>();
  context_->groups.push_back(this);
  Attach();
}

// Of one that is bound. With the last of these goes an owner that nobody has open.
void Group::Leave() {
  const auto left = context_;
  std::erase(left->groups, this);
  StandAlone();
  Group& owner = *left->groups.front();
  if (owner.in_use()) return;
  early::RemoveAll(*left->ioas);
  owner.Attach();
  owner.FinishGivingBack();
}

void Group::LetChildrenGo() {
  const std::vector<Group*> children(context_->groups.begin() + 1, context_->groups.end());
  for (Group* child : children) {
    for (const auto& [name, device] : child->devices_) device->Reset();
    std::erase(context_->groups, child);
    child->StandAlone();
  }
}

void Group::RemoveFile() {
  using enum AugustPolicies::OwnerClose;
  if (--files_ > 0) return;
  if (is_bound()) {
    Leave();
  } else if (owns_others() && policies().owner_close == kPromote) {
    std::erase(context_->groups, this);
    StandAlone();
  } else if (!owns_others() || policies().owner_close == kResetChildren) {
    LetChildrenGo();
    early::RemoveAll(*context_->ioas);
    Attach();
  }
  FinishGivingBack();
}

void Group::FinishGivingBack() {
  // With one that goes others may, too.
  while (!in_use()) {
    const auto waiting = std::ranges::find_if(
        devices_, [](const auto& entry) { return entry.second->wanted_back(); });
    if (waiting == devices_.end()) return;
    waiting->second->FinishGivingBack();
  }
}

Result<> Group::TakeAlong(Ioas& to) {
  using enum AugustPolicies::JoinWithMappings;
  Ioas& from = *context_->ioas;
  if (from.mappings().empty()) return {};
  if (policies().join_with_mappings == kRefuse) return Fail(EBUSY, "the group has mappings");
  if (policies().join_with_mappings == kDrop) {
    early::RemoveAll(from);
    return {};
  }
  for (const auto& [iova, mapping] : from.mappings())
    if (to.FirstOverlap(mapping.iova) != to.mappings().end())
      return Fail(EBUSY, fmt::format("both groups have mapped something at {:#x}", iova));
  for (auto it = from.mappings().begin(); it != from.mappings().end(); it = from.Erase(it))
    to.Insert(it->second);
  return {};
}

Result<> Group::BindTo(Group& owner) {
  if (&owner == this) return Fail(EINVAL, "a group cannot be bound to itself");
  if (context_->groups.size() > 1) return Fail(EINVAL, "the group is bound, or owns others");
  if (owner.is_bound()) return Fail(EINVAL, "the other group is bound itself");
  if (!viable() || !owner.viable())
    return Fail(EBUSY, "a function of the groups is not bound to vfio");
  TRY(TakeAlong(*owner.context_->ioas));
  context_ = owner.context_;
  context_->groups.push_back(this);
  Attach();
  owner.Attach();
  return {};
}

Result<> Group::Release() {
  using enum AugustPolicies::OwnerClose;
  if (context_->groups.size() == 1) return Fail(EINVAL, "the group is on its own");
  if (files_ > open_groups) return Fail(EBUSY, "devices of the group are open");
  if (is_bound()) {
    Leave();
    return {};
  }
  if (policies().owner_close == kRefuse) return Fail(EBUSY, "other groups are bound to this one");
  if (policies().owner_close == kResetChildren) {
    LetChildrenGo();
    return {};
  }
  std::erase(context_->groups, this);
  StandAlone();
  return {};
}

Result<> Group::EnterDomain(const std::shared_ptr<uiommu::Domain>& domain) {
  if (!viable()) return Fail(EBUSY, "a function of the group is not bound to vfio");
  if (domain_ != nullptr && domain_ != domain)
    return Fail(EBUSY, "the group is in another uiommu already");
  domain_ = domain;
  ++devices_in_domain_;
  Attach();
  return {};
}

void Group::LeaveDomain() {
  if (--devices_in_domain_ > 0) return;
  domain_.reset();
  Attach();
}

}  // namespace vfiolab::august
