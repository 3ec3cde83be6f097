#include "august/nodes.hpp"

namespace vfiolab::august {

August::August(Machine& machine) : machine_(machine) {
  for (auto& [id, group] : machine.groups())
    groups_.emplace(
        id, std::make_unique<Group>(machine, group, [this, &group] { nodes_->Update(group); }));
  nodes_ = std::make_unique<early::GroupNodes>(machine, early::GroupNodes::Names{}, *this);
}

void August::AddNodes(Directory& dev_vfio, Directory& dev) {
  nodes_->AddNodes(dev_vfio);
  if (machine_.kernel().policies.dma == AugustPolicies::Dma::kUiommu) uiommu::AddDomainNode(dev);
}

Result<std::shared_ptr<OpenFile>> August::Open(IommuGroup& iommu_group) {
  Group& group = *groups_.at(iommu_group.id());
  TRY(group.CheckOpen());
  return std::shared_ptr<OpenFile>(std::make_shared<GroupFile>(group));
}

void August::OnBound(DeviceSlot& slot) {
  auto device = std::make_unique<Device>(slot);
  groups_.at(slot.group().id())->Add(*device);
  devices_.emplace(&slot, std::move(device));
}

void August::OnUnbinding(DeviceSlot& slot, std::function<void()> done) {
  Group& group = *groups_.at(slot.group().id());
  devices_.at(&slot)->GiveBack([this, &slot, &group, done = std::move(done)] {
    group.Remove(*devices_.at(&slot));
    devices_.erase(&slot);
    done();
  });
  group.FinishGivingBack();
}

bool August::IsOpen(const IommuGroup& group) { return groups_.at(group.id())->open_groups > 0; }

}  // namespace vfiolab::august
