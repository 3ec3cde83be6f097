// A node below /dev/vfio for each IOMMU group with a function, whatever that is bound to, and the
// driver "vfio", as from the summer of 2011 to the spring of 2012 (drivers/vfio/vfio_main.c).
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "machine/machine.hpp"
#include "vfs/node.hpp"

namespace vfiolab::early {

// What the interface makes of groups and of functions that are bound to "vfio".
class GroupInterface {
 public:
  virtual ~GroupInterface() = default;
  virtual Result<std::shared_ptr<OpenFile>> Open(IommuGroup& group) = 0;
  virtual void OnBound(DeviceSlot& slot) = 0;
  // `done` runs when nobody uses the function any more, perhaps at once.
  virtual void OnUnbinding(DeviceSlot& slot, std::function<void()> done) = 0;
  // Whether the driver takes a function that has come to the group.
  virtual bool Claims(const IommuGroup& group) = 0;
  virtual bool IsOpen(const IommuGroup& group) = 0;
  // The last function of the group has left the bus, nobody has it open, and the node is gone.
  virtual void OnEmptied(IommuGroup& group) = 0;
};

// Lives as long as the machine, whose driver it is.
class GroupNodes {
 public:
  struct Names {
    std::string_view prefix;     // of the group's number
    bool lists_members = false;  // the group's directory in /sys has its functions
  };
  // Tells `interface` of the functions that are bound.
  GroupNodes(Machine& machine, const Names& names, GroupInterface& interface);

  std::string NameOf(const IommuGroup& group) const;
  // Puts the nodes into /dev/vfio, now and whenever they change.
  void AddNodes(Directory& dev_vfio);
  // Shows the group as it is now. To be called when nobody has it open any more.
  void Update(IommuGroup& group);

 private:
  class PciDriver;
  class Listener;
  void OnAdded(DeviceSlot& slot);
  void OnRemoved(DeviceSlot& slot);
  void AddNode(IommuGroup& group);
  void AddClassDevice(const IommuGroup& group);

  Machine& machine_;
  Names names_;
  GroupInterface& interface_;
  Directory* nodes_ = nullptr;
};

}  // namespace vfiolab::early
