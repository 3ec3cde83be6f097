#include "august/nodes.hpp"

#include "august/pci_device.hpp"
#include "august/platform_device.hpp"

namespace vfiolab::august {

// It knows no device: driver_override gives it some.
class August::PlatformDriver final : public vfiolab::PlatformDriver {
 public:
  explicit PlatformDriver(August& august) : august_(august) {}
  bool manages_dma() const override { return true; }
  bool Matches(const PlatformSlot&) const override { return false; }
  void Probe(PlatformSlot& slot) override {
    august_.Add(&slot, slot.group(), std::make_unique<PlatformDevice>(slot));
  }
  void Remove(PlatformSlot& slot, std::function<void()> done) override {
    august_.Remove(&slot, slot.group(), std::move(done));
  }

 private:
  August& august_;
};

August::August(Machine& machine) : machine_(machine) {
  for (auto& [id, group] : machine.groups())
    groups_.emplace(
        id, std::make_unique<Group>(machine, group, [this, &group] { nodes_->Update(group); }));
  nodes_ = std::make_unique<early::GroupNodes>(machine, early::GroupNodes::Names{}, *this);
  machine.platform_bus().Register(std::string(kEarlyVfio), std::make_unique<PlatformDriver>(*this));
  machine.platform_bus().ProbeAll(std::string(kEarlyVfio));
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
  Add(&slot, slot.group(), std::make_unique<PciDevice>(slot));
}

void August::OnUnbinding(DeviceSlot& slot, std::function<void()> done) {
  Remove(&slot, slot.group(), std::move(done));
}

void August::Add(const void* slot, IommuGroup& group, std::unique_ptr<Device> device) {
  groups_.at(group.id())->Add(*device);
  devices_.emplace(slot, std::move(device));
}

void August::Remove(const void* slot, IommuGroup& iommu_group, std::function<void()> done) {
  Group& group = *groups_.at(iommu_group.id());
  devices_.at(slot)->GiveBack([this, slot, &group, done = std::move(done)] {
    group.Remove(*devices_.at(slot));
    devices_.erase(slot);
    done();
  });
  group.FinishGivingBack();
}

bool August::IsOpen(const IommuGroup& group) { return groups_.at(group.id())->open_groups > 0; }

}  // namespace vfiolab::august
