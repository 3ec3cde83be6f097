// What the commands have in common: reading a topology, and complaining.
#pragma once
#include <optional>
#include <string>

#include "base/result.hpp"
#include "topology/spec.hpp"

namespace vfiolab::launcher {

inline constexpr int kBadTopology = 2, kCannotStart = 125;

// Says what is wrong on standard error; the exit status for it.
int Complain(const Error& error, int status = kCannotStart);

// Nothing after all errors of the file went to standard error.
std::optional<topology::TopologySpec> LoadOrComplain(const std::string& path);

}  // namespace vfiolab::launcher
