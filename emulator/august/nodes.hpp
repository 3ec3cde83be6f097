// The proposals of August 2011 on a machine: a node for each group, and /dev/uiommu where memory is
// mapped so.
#pragma once
#include <map>
#include <memory>

#include "august/files.hpp"
#include "early/group_nodes.hpp"

namespace vfiolab::august {

// Lives as long as any file opened through its nodes, and as the machine, whose driver it is.
class August final : public early::GroupInterface {
 public:
  explicit August(Machine& machine);

  // Directories that outlive this: /dev/vfio and /dev.
  void AddNodes(Directory& dev_vfio, Directory& dev);

  // early::GroupInterface
  Result<std::shared_ptr<OpenFile>> Open(IommuGroup& group) override;
  void OnBound(DeviceSlot& slot) override;
  void OnUnbinding(DeviceSlot& slot, std::function<void()> done) override;
  bool Claims(const IommuGroup&) override { return false; }
  bool IsOpen(const IommuGroup& group) override;
  void OnEmptied(IommuGroup&) override {}

 private:
  class PlatformDriver;
  void Add(const void* slot, IommuGroup& group, std::unique_ptr<Device> device);
  void Remove(const void* slot, IommuGroup& group, std::function<void()> done);

  Machine& machine_;
  std::map<unsigned, std::unique_ptr<Group>> groups_;  // by id
  // Those bound to "vfio", by their slots.
  std::map<const void*, std::unique_ptr<Device>> devices_;
  std::unique_ptr<early::GroupNodes> nodes_;
};

}  // namespace vfiolab::august
