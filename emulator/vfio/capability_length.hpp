// How much of config space vfio-pci gives to each capability (vfio_pci_config.c pci_cap_length,
// pci_ext_cap_length).
#pragma once
#include "pci/config_space.hpp"

namespace vfiolab::vfio {

// Bytes of the capability at `at`, its header included; 0 for one that clients do not see.
std::size_t CapabilityLength(const ConfigSpace& config, std::size_t at);
std::size_t ExtendedCapabilityLength(const ConfigSpace& config, std::size_t at);

}  // namespace vfiolab::vfio
