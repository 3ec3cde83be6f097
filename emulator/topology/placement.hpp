// Where firmware puts what functions decode.
#pragma once
#include "machine/machine.hpp"

namespace vfiolab::topology {

// Gives BARs, ROMs and windows of bridges their addresses, bus by bus, and builds all config
// spaces; once. False when something does not fit.
bool Place(Machine& machine);

}  // namespace vfiolab::topology
