// Virtual functions: what of them is told by the physical function (SR-IOV specification, 3.4).
#pragma once
#include "topology/config_error.hpp"
#include "topology/draft.hpp"

namespace vfiolab::topology {

// The physical function of each virtual one must be another device, with an SR-IOV capability, and
// none that is virtual itself. A dump of a virtual function shows neither ids nor BARs: they are
// put in.
void CompleteVirtualFunctions(Draft& draft, ErrorList& errors);

}  // namespace vfiolab::topology
