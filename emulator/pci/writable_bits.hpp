// Which bits of a config space software may change, by what the specifications say of each
// capability. Registers that a written 1 clears count as read-only.
#pragma once
#include "pci/config_space.hpp"

namespace vfiolab {

// Of everything behind the header. Vendor-specific capabilities, unknown ones, and what belongs to
// no capability stay read-only.
void PermitCapabilities(ConfigSpace& config);

}  // namespace vfiolab
