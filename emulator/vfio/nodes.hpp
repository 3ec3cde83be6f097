// The VFIO side of a machine: its groups, its devices, and the nodes under /dev/vfio.
#pragma once
#include <memory>
#include <vector>

#include "vfio/device.hpp"
#include "vfs/node.hpp"

namespace vfiolab::vfio {

// Lives as long as any file opened through its nodes.
class Vfio {
 public:
  explicit Vfio(Machine& machine);

  // Puts "vfio" and one node for each group with a device bound to vfio-pci into /dev/vfio.
  void AddNodes(Directory& dev_vfio);

 private:
  Machine& machine_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<std::unique_ptr<Group>> groups_;
};

}  // namespace vfiolab::vfio
