// The meaning of a topology: what the shape of the file cannot rule out.
#pragma once
#include <span>

#include "device/model.hpp"
#include "topology/config_error.hpp"
#include "topology/draft.hpp"

namespace vfiolab::topology {

// Page sizes: powers of two from 4K on, 4K among them, none twice. Reserved ranges: not backwards,
// made of whole pages, not overlapping.
void CheckIommu(const Draft& draft, ErrorList& errors);

// Models: in `models`, and of the bus that the device is on. Parameters: the model's own, each in
// its range; files that it needs.
void CheckModels(const Draft& draft, std::span<const Model> models, ErrorList& errors);

// A device made from a dump: that of a function, with a size for each of its BARs and for no other,
// large enough for what MSI-X has there; writable bits for all of its bytes. `place` is the
// device's.
void CheckReplica(const std::string& place, const DeviceDraft& device, ErrorList& errors);

// Addresses: each used once, with a function 0 at the same device, not on a bus that a bridge
// claims but none leads to. Bridges: buses behind them above their own, each claimed by one
// bridge only, and inside those of the bridge they sit behind.
void CheckBuses(const Draft& draft, ErrorList& errors);

// Bridges: of a kind that fits where they are, with windows that are not backwards, made of whole
// units (1M, for I/O 4K), and inside of those of the bridge that they sit behind, which has some,
// too; with access control only where the kind has PCI Express. Devices: aliases on their own bus.
void CheckBridges(const Draft& draft, ErrorList& errors);

// Platform devices: each name used once.
void CheckNames(const Draft& draft, ErrorList& errors);

// Groups, if there are any: each number used once. Members: there, and in one group only. Devices:
// in a group.
void CheckGroups(const Draft& draft, ErrorList& errors);

// All of the above.
void Check(const Draft& draft, std::span<const Model> models, ErrorList& errors);

}  // namespace vfiolab::topology
