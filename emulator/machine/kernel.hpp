// The kernel whose interfaces are played, as far as its configuration shows.
#pragma once

namespace vfiolab {

struct Kernel {
  bool line_interrupts = true;  // CONFIG_VFIO_PCI_INTX

  bool operator==(const Kernel&) const = default;
};

}  // namespace vfiolab
