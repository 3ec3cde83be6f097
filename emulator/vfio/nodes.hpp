// The VFIO side of a machine: its groups, its devices, and the nodes under /dev/vfio.
#pragma once
#include <map>
#include <memory>

#include "vfio/device.hpp"
#include "vfs/node.hpp"

namespace vfiolab::vfio {

// Takes up the functions that are bound to vfio-pci. Lives as long as any file opened through its
// nodes, and as the machine, whose driver it is.
class Vfio {
 public:
  explicit Vfio(Machine& machine);
  ~Vfio();

  // Puts "vfio" and one node for each group with a device bound to vfio-pci into /dev/vfio, now and
  // whenever that changes. The directory outlives this.
  void AddNodes(Directory& dev_vfio);

 private:
  class PciDriver;
  void Add(DeviceSlot& slot);
  void Remove(DeviceSlot& slot, std::function<void()> done);
  void Forget(DeviceSlot& slot);
  void AddNode(const std::shared_ptr<Group>& group);

  Machine& machine_;
  Directory* nodes_ = nullptr;
  std::map<unsigned, std::shared_ptr<Group>> groups_;             // by id
  std::map<const DeviceSlot*, std::unique_ptr<Device>> devices_;  // those of the groups
};

}  // namespace vfiolab::vfio
