// A topology file for a command: read, checked, and complained about.
#pragma once
#include <optional>
#include <string>

#include "topology/spec.hpp"

namespace vfiolab::launcher {

inline constexpr int kBadTopology = 2, kCannotStart = 125;

// Nothing after all errors of the file went to standard error.
std::optional<topology::TopologySpec> LoadOrComplain(const std::string& path);

}  // namespace vfiolab::launcher
