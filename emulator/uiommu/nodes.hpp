// The interface of 2010 and 2011 on a machine: /dev/uiommu, and /dev/vfioN for each function that
// is bound to the driver "vfio".
#pragma once
#include <map>
#include <memory>

#include "uiommu/device.hpp"
#include "vfs/node.hpp"

namespace vfiolab::uiommu {

// Lives as long as any file opened through its nodes, and as the machine, whose driver it is.
class Uiommu {
 public:
  Uiommu(Machine& machine, const Revision& revision);
  ~Uiommu();

  // Its messages reach clients through a transport.
  NetlinkFamily& events() { return events_; }

  // Puts the nodes into /dev, now and whenever they change. The directory outlives this.
  void AddNodes(Directory& dev);

 private:
  class PciDriver;
  struct Bound {
    unsigned number;
    std::unique_ptr<Device> device;
  };
  void Add(DeviceSlot& slot);
  void Remove(DeviceSlot& slot, std::function<void()> done);
  unsigned FreeNumber() const;
  void AddNode(const DeviceSlot& slot);
  // Of a function that the driver has and shall keep; null.
  Device* Find(const DeviceSlot& slot) const;
  Device* Find(Bdf bdf) const;
  void InjectError(const DeviceSlot& slot, std::string_view text, ClassAttribute::Done done);
  void Sleep(std::function<void(Result<>)> done);
  std::vector<Device*> OpenDevices() const;
  void OnUnmap(CallContext& caller, ClientAddress from, u64 size);

  Machine& machine_;
  const Revision& revision_;
  EventChannel events_;
  Directory* nodes_ = nullptr;
  std::map<const DeviceSlot*, Bound> devices_;
};

}  // namespace vfiolab::uiommu
