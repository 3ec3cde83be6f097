// What several protocols read of capabilities to know how long they are.
#pragma once
#include <cstddef>

#include "pci/config_space.hpp"

namespace vfiolab {

// A capability may begin so late that its fields lie outside; those read as zero.
u32 CapabilityField(const ConfigSpace& config, std::size_t at, unsigned width);
std::size_t MsiCapabilityLength(u32 flags);
// With its arbitration table (vfio_vc_cap_len).
std::size_t VirtualChannelLength(const ConfigSpace& config, std::size_t at);

}  // namespace vfiolab
