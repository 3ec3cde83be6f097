#include "merge/nodes.hpp"

#include <algorithm>

namespace vfiolab::merge {

class Merge::PciDriver final : public Driver {
 public:
  explicit PciDriver(Merge& merge) : merge_(merge) {}
  bool manages_dma() const override { return true; }
  bool Matches(const DeviceSlot&) const override { return false; }
  void Probe(DeviceSlot& slot) override { merge_.Add(slot); }
  void Remove(DeviceSlot& slot, std::function<void()> done) override {
    merge_.Remove(slot, std::move(done));
  }
  bool can_make_virtual_functions() const override { return false; }

 private:
  Merge& merge_;
};

class Merge::Listener final : public DriverListener {
 public:
  explicit Listener(Merge& merge) : merge_(merge) {}
  void OnBound(DeviceSlot&) override {}
  void OnUnbinding(DeviceSlot&, const std::string&) override {}
  void OnLettingGo(DeviceSlot&, const std::string&) override {}
  void OnUnbound(DeviceSlot&, const std::string&) override {}
  void OnAdded(DeviceSlot& slot) override { merge_.OnAdded(slot); }
  void OnRemoved(DeviceSlot& slot) override { merge_.OnRemoved(slot); }
  void OnVirtualFunction(DeviceSlot&, bool) override {}
  void OnClassDevice(const ClassDevice&, bool) override {}

 private:
  Merge& merge_;
};

Merge::Merge(Machine& machine, const Revision& revision) : machine_(machine), revision_(revision) {
  for (auto& [id, group] : machine.groups())
    groups_.emplace(id, std::make_unique<Group>(machine, group, revision));
  machine.pci_bus().Register(std::string(kEarlyVfio), std::make_unique<PciDriver>(*this));
  machine.pci_bus().ProbeAll(std::string(kEarlyVfio));
  machine.pci_bus().AddListener(std::make_unique<Listener>(*this));
  for (const auto& [id, group] : groups_) AddClassDevice(*group);
}

Merge::~Merge() = default;

void Merge::Add(DeviceSlot& slot) {
  auto device = std::make_unique<Device>(slot, revision_);
  groups_.at(slot.group().id())->Add(*device);
  devices_.emplace(&slot, std::move(device));
}

void Merge::Remove(DeviceSlot& slot, std::function<void()> done) {
  Group& group = *groups_.at(slot.group().id());
  devices_.at(&slot)->GiveBack([this, &slot, &group, done = std::move(done)] {
    group.Remove(*devices_.at(&slot));
    devices_.erase(&slot);
    done();
  });
  group.FinishGivingBack();
}

// The first function brings the node, and each is shown.
void Merge::OnAdded(DeviceSlot& slot) {
  Group& group = *groups_.at(slot.group().id());
  if (group.iommu_group().devices().size() == 1)
    AddNode(group);
  else
    machine_.pci_bus().RemoveClassDevice(group.node_name());
  AddClassDevice(group);
  if (revision_.claims_newcomers && group.set()->open())
    slot.set_driver_override(std::string(kEarlyVfio));
}

void Merge::OnRemoved(DeviceSlot& slot) {
  Group& group = *groups_.at(slot.group().id());
  machine_.pci_bus().RemoveClassDevice(group.node_name());
  if (!group.iommu_group().devices().empty()) return AddClassDevice(group);
  if (nodes_ != nullptr) nodes_->Remove(group.node_name());
  group.OnEmptied();
}

void Merge::AddClassDevice(Group& group) {
  const auto& devices = group.iommu_group().devices();
  if (devices.empty()) return;
  ClassDevice device{.class_name = "vfio",
                     .name = group.node_name(),
                     .node = "vfio/" + group.node_name(),
                     .minor = group.iommu_group().id(),
                     .parent = nullptr,
                     .members = {},
                     .attributes = {}};
  if (!revision_.node_prefix.empty()) device.members.assign(devices.begin(), devices.end());
  machine_.pci_bus().AddClassDevice(std::move(device));
}

void Merge::AddNode(Group& group) {
  if (nodes_ == nullptr || group.iommu_group().devices().empty()) return;
  // Who has looked the node up may open it when the last function has gone.
  const auto open = [&group](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
    if (group.iommu_group().devices().empty()) return Fail(ENODEV, "the group has no device");
    return std::shared_ptr<OpenFile>(std::make_shared<GroupFile>(group));
  };
  nodes_->Add(group.node_name(), std::make_shared<DeviceNode>(0600, open));
}

void Merge::AddNodes(Directory& dev_vfio) {
  nodes_ = &dev_vfio;
  for (const auto& [id, group] : groups_) AddNode(*group);
}

}  // namespace vfiolab::merge
