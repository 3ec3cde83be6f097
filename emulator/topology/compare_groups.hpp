// Groups that a topology states beside those that its hierarchy gives.
#pragma once
#include <string>
#include <vector>

#include "topology/spec.hpp"

namespace vfiolab::topology {

// Where both disagree about who is with whom, one line for each; numbers do not matter, nor do
// members that `stated` does not name.
std::vector<std::string> CompareGroups(const std::vector<GroupSpec>& stated,
                                       const std::vector<GroupSpec>& derived);

}  // namespace vfiolab::topology
