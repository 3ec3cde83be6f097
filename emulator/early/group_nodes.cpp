#include "early/group_nodes.hpp"

#include <fmt/format.h>

namespace vfiolab::early {

class GroupNodes::PciDriver final : public Driver {
 public:
  explicit PciDriver(GroupInterface& interface) : interface_(interface) {}
  bool manages_dma() const override { return true; }
  bool Matches(const DeviceSlot&) const override { return false; }
  bool Claims(DeviceSlot& slot) override { return interface_.Claims(slot.group()); }
  void Probe(DeviceSlot& slot) override { interface_.OnBound(slot); }
  void Remove(DeviceSlot& slot, std::function<void()> done) override {
    interface_.OnUnbinding(slot, std::move(done));
  }
  bool can_make_virtual_functions() const override { return false; }

 private:
  GroupInterface& interface_;
};

class GroupNodes::Listener final : public DriverListener {
 public:
  explicit Listener(GroupNodes& nodes) : nodes_(nodes) {}
  void OnBound(DeviceSlot&) override {}
  void OnUnbinding(DeviceSlot&, const std::string&) override {}
  void OnLettingGo(DeviceSlot&, const std::string&) override {}
  void OnUnbound(DeviceSlot&, const std::string&) override {}
  void OnAdded(DeviceSlot& slot) override { nodes_.OnAdded(slot); }
  void OnRemoved(DeviceSlot& slot) override { nodes_.OnRemoved(slot); }
  void OnVirtualFunction(DeviceSlot&, bool) override {}
  void OnClassDevice(const ClassDevice&, bool) override {}

 private:
  GroupNodes& nodes_;
};

GroupNodes::GroupNodes(Machine& machine, const Names& names, GroupInterface& interface)
    : machine_(machine), names_(names), interface_(interface) {
  machine.pci_bus().Register(std::string(kEarlyVfio), std::make_unique<PciDriver>(interface));
  machine.pci_bus().ProbeAll(std::string(kEarlyVfio));
  machine.pci_bus().AddListener(std::make_unique<Listener>(*this));
  for (const auto& [id, group] : machine.groups())
    if (group.has_devices()) AddClassDevice(group);
}

std::string GroupNodes::NameOf(const IommuGroup& group) const {
  return fmt::format("{}{}", names_.prefix, group.id());
}

void GroupNodes::OnAdded(DeviceSlot& slot) { Update(slot.group()); }

void GroupNodes::OnRemoved(DeviceSlot& slot) { Update(slot.group()); }

void GroupNodes::Update(IommuGroup& group) {
  PciBusType& bus = machine_.pci_bus();
  const std::string name = NameOf(group);
  const bool is_there = bus.class_devices().contains(name);
  const bool shall_be = group.has_devices() || interface_.IsOpen(group);
  if (is_there) bus.RemoveClassDevice(name);
  if (shall_be) AddClassDevice(group);
  if (!is_there && shall_be) AddNode(group);
  if (!is_there || shall_be) return;
  if (nodes_ != nullptr) nodes_->Remove(name);
  interface_.OnEmptied(group);
}

void GroupNodes::AddClassDevice(const IommuGroup& group) {
  const std::string name = NameOf(group);
  ClassDevice device{.class_name = "vfio",
                     .name = name,
                     .node = "vfio/" + name,
                     .minor = group.id(),
                     .parent = nullptr,
                     .members = {},
                     .attributes = {}};
  if (names_.lists_members) device.members.assign(group.devices().begin(), group.devices().end());
  machine_.pci_bus().AddClassDevice(std::move(device));
}

void GroupNodes::AddNode(IommuGroup& group) {
  if (nodes_ == nullptr) return;
  // Who has looked the node up may open it when it has gone.
  const auto open = [this, &group](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
    if (!machine_.pci_bus().class_devices().contains(NameOf(group)))
      return Fail(ENODEV, "the group has no device");
    return interface_.Open(group);
  };
  nodes_->Add(NameOf(group), std::make_shared<DeviceNode>(0600, open));
}

void GroupNodes::AddNodes(Directory& dev_vfio) {
  nodes_ = &dev_vfio;
  for (auto& [id, group] : machine_.groups())
    if (group.has_devices()) AddNode(group);
}

}  // namespace vfiolab::early
