#include "vfio/nodes.hpp"

namespace vfiolab::vfio {

// It has no ids of its own: driver_override and new_id give it functions.
class Vfio::PciDriver final : public Driver {
 public:
  explicit PciDriver(Vfio& vfio) : vfio_(vfio) {}
  bool manages_dma() const override { return true; }
  bool Matches(const DeviceSlot&) const override { return false; }
  void Probe(DeviceSlot& slot) override { vfio_.Add(slot); }
  void Remove(DeviceSlot& slot, std::function<void()> done) override {
    vfio_.Remove(vfio_.devices_, slot, std::move(done));
  }
  bool can_make_virtual_functions() const override { return true; }
  bool makes_virtual_functions() const override { return vfio_.machine_.parameters().enable_sriov; }
  bool owns_virtual_functions() const override { return true; }

 private:
  Vfio& vfio_;
};

// It knows no device: driver_override gives it some.
class Vfio::PlatformDriver final : public vfiolab::PlatformDriver {
 public:
  explicit PlatformDriver(Vfio& vfio) : vfio_(vfio) {}
  bool manages_dma() const override { return true; }
  bool Matches(const PlatformSlot&) const override { return false; }
  Result<> Accept(PlatformSlot& slot) override {
    if (!slot.has_reset() && vfio_.machine_.kernel().platform_reset_required)
      return Fail(ENOENT, "nobody knows how to reset " + slot.name());
    return {};
  }
  void Probe(PlatformSlot& slot) override { vfio_.Add(slot); }
  void Remove(PlatformSlot& slot, std::function<void()> done) override {
    vfio_.Remove(vfio_.platform_devices_, slot, std::move(done));
  }

 private:
  Vfio& vfio_;
};

Vfio::Vfio(Machine& machine) : machine_(machine) {
  machine.pci_bus().Register(std::string(kVfioPci), std::make_unique<PciDriver>(*this));
  machine.pci_bus().ProbeAll(std::string(kVfioPci));
  machine.platform_bus().Register(std::string(kVfioPlatform),
                                  std::make_unique<PlatformDriver>(*this));
  machine.platform_bus().ProbeAll(std::string(kVfioPlatform));
}

Vfio::~Vfio() = default;

void Vfio::Add(DeviceSlot& slot) {
  const auto added = devices_.emplace(&slot, std::make_unique<Device>(slot)).first;
  Device& device = *added->second;
  // vfio_pci_core.c vfio_pci_vf_init: only of those that vfio-pci has made, which go before it
  // lets their physical function go.
  if (const DeviceSlot* physical = slot.physical_function();
      physical != nullptr && physical->virtual_functions_maker() == kVfioPci)
    if (const auto found = devices_.find(physical); found != devices_.end())
      device.set_physical_function(found->second.get());
  Join(slot.group(), device);
}

void Vfio::Add(PlatformSlot& slot) {
  const auto added =
      platform_devices_.emplace(&slot, std::make_unique<BoundPlatformDevice>(slot)).first;
  Join(slot.group(), *added->second);
}

template <class Devices, class Slot>
void Vfio::Remove(Devices& devices, Slot& slot, std::function<void()> done) {
  devices.at(&slot)->GiveBack([this, &devices, &slot, done = std::move(done)] {
    Leave(slot.group(), *devices.at(&slot));
    devices.erase(&slot);
    done();
  });
}

void Vfio::Join(IommuGroup& iommu_group, GroupDevice& device) {
  auto& group = groups_[iommu_group.id()];
  if (group == nullptr) {
    group = std::make_shared<Group>(iommu_group);
    AddNode(group);
  }
  group->Add(device);
}

void Vfio::Leave(IommuGroup& iommu_group, GroupDevice& device) {
  const auto group = groups_.find(iommu_group.id());
  group->second->Remove(device);
  if (!group->second->devices().empty()) return;
  group->second->Retire();
  groups_.erase(group);
  if (nodes_ != nullptr) nodes_->Remove(std::to_string(iommu_group.id()));
}

void Vfio::AddNode(const std::shared_ptr<Group>& group) {
  if (nodes_ == nullptr) return;
  nodes_->Add(std::to_string(group->iommu_group().id()),
              std::make_shared<DeviceNode>(0600, [group](CallContext&) { return group->Open(); }));
}

void Vfio::AddNodes(Directory& dev_vfio) {
  nodes_ = &dev_vfio;
  dev_vfio.Add(
      "vfio",
      std::make_shared<DeviceNode>(0666, [this](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
        return std::shared_ptr<OpenFile>(std::make_shared<ContainerFile>(machine_));
      }));
  for (const auto& [id, group] : groups_) AddNode(group);
}

}  // namespace vfiolab::vfio
