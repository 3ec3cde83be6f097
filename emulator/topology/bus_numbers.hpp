// Gives buses the numbers that firmware and Linux would give them.
#pragma once
#include "topology/config_error.hpp"
#include "topology/draft.hpp"

namespace vfiolab::topology {

// Completes the addresses of bridges that are behind a named one, and the buses behind bridges that
// have no number: depth first, each the next one that no bridge has claimed, as
// drivers/pci/probe.c pci_scan_child_bus does. Bridges without a kind get that which fits
// where they are. Then the names of `draft.buses` lead to numbers. Reports names that appear twice,
// that nobody has, and bridges that no root bus leads to; and when there are no numbers left.
void AssignBuses(Draft& draft, ErrorList& errors);

}  // namespace vfiolab::topology
