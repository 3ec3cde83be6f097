// The interface of October 2011 to the spring of 2012 on a machine: a node below /dev/vfio for each
// IOMMU group with a function, whatever it is bound to.
#pragma once
#include <map>
#include <memory>

#include "merge/device.hpp"
#include "vfs/node.hpp"

namespace vfiolab::merge {

// Lives as long as any file opened through its nodes, and as the machine, whose driver it is.
class Merge {
 public:
  Merge(Machine& machine, const Revision& revision);
  ~Merge();

  // Whether an unknown ioctl is ENOSYS.
  bool answers_enosys() const { return revision_.unknown_ioctl == ENOSYS; }
  // Puts the nodes into /dev/vfio, now and whenever they change. The directory outlives this.
  void AddNodes(Directory& dev_vfio);

 private:
  class PciDriver;
  class Listener;
  void Add(DeviceSlot& slot);
  void Remove(DeviceSlot& slot, std::function<void()> done);
  void OnAdded(DeviceSlot& slot);
  void OnRemoved(DeviceSlot& slot);
  void AddNode(Group& group);
  void AddClassDevice(Group& group);

  Machine& machine_;
  const Revision& revision_;
  Directory* nodes_ = nullptr;
  std::map<unsigned, std::unique_ptr<Group>> groups_;             // by id
  std::map<const DeviceSlot*, std::unique_ptr<Device>> devices_;  // bound to "vfio"
};

}  // namespace vfiolab::merge
