// What the kernel saves of config space before it hands a function out, and puts back afterwards
// (drivers/pci/pci.c pci_save_state): not all that can be written.
#pragma once
#include "pci/config_space.hpp"

namespace vfiolab {

// Puts back the header, what of PCI Express, error reporting and latency tolerance is saved, and
// MSI and MSI-X, of the same function as `saved`.
void RestoreState(ConfigSpace& config, const ConfigSpace& saved);

}  // namespace vfiolab
