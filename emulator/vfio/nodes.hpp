// The VFIO side of a machine: its groups, its devices, and the nodes under /dev/vfio.
#pragma once
#include <map>
#include <memory>

#include "vfio/device.hpp"
#include "vfio/platform_device.hpp"
#include "vfs/node.hpp"

namespace vfiolab::vfio {

// Takes up the functions that are bound to vfio-pci, and the devices bound to vfio-platform. Lives
// as long as any file opened through its nodes, and as the machine, whose driver it is.
class Vfio {
 public:
  explicit Vfio(Machine& machine);
  ~Vfio();

  // Puts "vfio" and one node for each group with such a device into /dev/vfio, now and whenever
  // that changes. The directory outlives this.
  void AddNodes(Directory& dev_vfio);

 private:
  class PciDriver;
  class PlatformDriver;
  void Add(DeviceSlot& slot);
  void Add(PlatformSlot& slot);
  // Lets a device of one of the two maps go.
  template <class Devices, class Slot>
  void Remove(Devices& devices, Slot& slot, std::function<void()> done);
  void Join(IommuGroup& iommu_group, GroupDevice& device);
  void Leave(IommuGroup& iommu_group, GroupDevice& device);
  void AddNode(const std::shared_ptr<Group>& group);

  Machine& machine_;
  Directory* nodes_ = nullptr;
  std::map<unsigned, std::shared_ptr<Group>> groups_;  // by id
  // Those of the groups.
  std::map<const DeviceSlot*, std::unique_ptr<Device>> devices_;
  std::map<const PlatformSlot*, std::unique_ptr<BoundPlatformDevice>> platform_devices_;
};

}  // namespace vfiolab::vfio
