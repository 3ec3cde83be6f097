// The kernel whose interfaces are played, as far as its configuration shows.
#pragma once

#include "base/bytes.hpp"

namespace vfiolab {

// Module parameters that have an effect here. Whoever has the right can change them at any time.
struct ModuleParameters {
  bool allow_unsafe_interrupts = false;
  bool disable_hugepages = false;
  u32 dma_entry_limit = 65535;  // for containers that get a model from then on
  bool disable_idle_d3 = false;
  bool enable_sriov = false;
  bool nointxmask = false;

  bool operator==(const ModuleParameters&) const = default;
};

struct Kernel {
  bool line_interrupts = true;  // CONFIG_VFIO_PCI_INTX

  bool operator==(const Kernel&) const = default;
};

}  // namespace vfiolab
