// The interface of October 2011 to January 2012 on a machine.
#pragma once
#include <map>
#include <memory>

#include "early/group_nodes.hpp"
#include "merge/device.hpp"

namespace vfiolab::merge {

// Lives as long as any file opened through its nodes, and as the machine, whose driver it is.
class Merge final : public early::GroupInterface {
 public:
  Merge(Machine& machine, const Revision& revision);

  void AddNodes(Directory& dev_vfio) { nodes_->AddNodes(dev_vfio); }

  // early::GroupInterface
  Result<std::shared_ptr<OpenFile>> Open(IommuGroup& group) override;
  void OnBound(DeviceSlot& slot) override;
  void OnUnbinding(DeviceSlot& slot, std::function<void()> done) override;
  bool Claims(const IommuGroup& group) override;
  bool IsOpen(const IommuGroup& group) override;
  void OnEmptied(IommuGroup& group) override;

 private:
  const Revision& revision_;
  std::map<unsigned, std::unique_ptr<Group>> groups_;             // by id
  std::map<const DeviceSlot*, std::unique_ptr<Device>> devices_;  // bound to "vfio"
  std::unique_ptr<early::GroupNodes> nodes_;
};

}  // namespace vfiolab::merge
