// How many bytes of a capability the VFIO of 2010 knew.
#pragma once
#include "pci/config_space.hpp"

namespace vfiolab::early {

// Of the capability at `at`, of conventional or of extended config space. Of one that it did not
// know, the first four.
std::size_t CapabilityLength(const ConfigSpace& config, std::size_t at);
std::size_t ExtendedCapabilityLength(const ConfigSpace& config, std::size_t at);

}  // namespace vfiolab::early
