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
    vfio_.Remove(slot, std::move(done));
  }
  bool can_make_virtual_functions() const override { return true; }
  bool makes_virtual_functions() const override { return vfio_.machine_.parameters().enable_sriov; }
  bool owns_virtual_functions() const override { return true; }

 private:
  Vfio& vfio_;
};

Vfio::Vfio(Machine& machine) : machine_(machine) {
  machine.pci_bus().Register(std::string(kVfioPci), std::make_unique<PciDriver>(*this));
  machine.pci_bus().ProbeAll(std::string(kVfioPci));
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
  auto& group = groups_[slot.group().id()];
  if (group == nullptr) {
    group = std::make_shared<Group>(slot.group());
    AddNode(group);
  }
  group->Add(device);
}

void Vfio::Remove(DeviceSlot& slot, std::function<void()> done) {
  devices_.at(&slot)->GiveBack([this, &slot, done = std::move(done)] {
    Forget(slot);
    done();
  });
}

void Vfio::Forget(DeviceSlot& slot) {
  const auto group = groups_.find(slot.group().id());
  Device* device = devices_.at(&slot).get();
  group->second->Remove(*device);
  if (group->second->devices().empty()) {
    group->second->Retire();
    groups_.erase(group);
    if (nodes_ != nullptr) nodes_->Remove(std::to_string(slot.group().id()));
  }
  devices_.erase(&slot);
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
