#include "vfio/nodes.hpp"

namespace vfiolab::vfio {

Vfio::Vfio(Machine& machine) : machine_(machine) {
  std::map<const DeviceSlot*, Device*> by_slot;
  for (auto& [id, iommu_group] : machine.groups()) {
    std::vector<Device*> bound;
    for (DeviceSlot* slot : iommu_group.devices()) {
      if (slot->driver() != "vfio-pci") continue;
      bound.push_back(devices_.emplace_back(std::make_unique<Device>(*slot)).get());
      by_slot.emplace(slot, bound.back());
    }
    if (!bound.empty()) groups_.push_back(std::make_unique<Group>(iommu_group, std::move(bound)));
  }
  for (const auto& [slot, device] : by_slot)
    if (const auto physical = by_slot.find(slot->physical_function()); physical != by_slot.end())
      device->set_physical_function(*physical->second);
}

void Vfio::AddNodes(Directory& dev_vfio) {
  dev_vfio.Add(
      "vfio",
      std::make_shared<DeviceNode>(0666, [this](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
        return std::shared_ptr<OpenFile>(std::make_shared<ContainerFile>(machine_));
      }));
  for (auto& group : groups_)
    dev_vfio.Add(std::to_string(group->iommu_group().id()),
                 std::make_shared<DeviceNode>(
                     0600, [&group = *group](CallContext&) { return group.Open(); }));
}

}  // namespace vfiolab::vfio
