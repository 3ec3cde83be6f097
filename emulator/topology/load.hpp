// From a topology file to a checked TopologySpec.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "device/model.hpp"
#include "topology/config_error.hpp"
#include "topology/spec.hpp"

namespace vfiolab::topology {

// `text` is what `file_name` holds; the name is for messages and, without directory and extension,
// for a topology that has none of its own. Files that the topology names lie where it does. Fails
// with every error of the file, in the order they were found and at most ErrorList::kMostShown
// (plus one that counts the rest). Throws nothing for whatever `text` holds.
Result<TopologySpec, std::vector<ConfigError>> Load(std::string_view text,
                                                    std::string_view file_name,
                                                    std::span<const Model> models);

// The same for a file by its path. Fails too when it cannot be read.
Result<TopologySpec, std::vector<ConfigError>> LoadFile(const std::string& path,
                                                        std::span<const Model> models);

}  // namespace vfiolab::topology
