// The interfaces that a machine offers to clients, as its kernel has them.
#pragma once
#include <memory>

#include "august/nodes.hpp"
#include "merge/nodes.hpp"
#include "uiommu/nodes.hpp"
#include "vfio/nodes.hpp"

namespace vfiolab {

// Lives as long as any file opened through its nodes, and as the machine, whose drivers they are.
struct Interfaces {
  explicit Interfaces(Machine& machine);
  // Puts the nodes into /dev/vfio and /dev, now and whenever they change.
  void AddNodes(Directory& dev_vfio, Directory& dev);

  // What its kernel has beside others in generic netlink; null.
  NetlinkFamily* netlink_family() { return uiommu ? &uiommu->events() : nullptr; }

  // Those that there are.
  std::unique_ptr<vfio::Vfio> vfio;
  std::unique_ptr<uiommu::Uiommu> uiommu;
  std::unique_ptr<merge::Merge> merge;
  std::unique_ptr<august::August> august;
};

}  // namespace vfiolab
