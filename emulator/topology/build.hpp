// From a checked TopologySpec to a machine.
#pragma once
#include <span>
#include <string>

#include "device/model.hpp"
#include "machine/machine.hpp"
#include "topology/config_error.hpp"
#include "topology/spec.hpp"

namespace vfiolab::topology {

// Puts the devices, bridges and groups of `spec` into `machine`, which is empty, and gives every
// BAR an address, the same for the same spec. Fails when the windows for BARs are too small, and
// when a device is to have access control whose model says otherwise.
Result<Success, ConfigError> Build(const TopologySpec& spec, std::span<const Model> models,
                                   Machine& machine);

// The groups that a machine has now, as a topology would state them.
std::vector<GroupSpec> GroupsOf(const Machine& machine);

}  // namespace vfiolab::topology
