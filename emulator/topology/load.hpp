// From a topology file to a checked TopologySpec.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "device/model.hpp"
#include "topology/config_error.hpp"
#include "topology/spec.hpp"

namespace vfiolab::topology {

// Loads the model of the shared object at `path`, which the topology calls `name`; the reason of a
// failure says what is wrong with it.
using PluginLoader = std::function<Result<Model>(const std::string& path, const std::string& name)>;

// `text` is what `file_name` holds; the name is for messages and, without directory and extension,
// for a topology that has none of its own. Files that the topology names lie where it does. Fails
// with every error of the file, in the order they were found and at most ErrorList::kMostShown
// (plus one that counts the rest). Throws nothing for whatever `text` holds.
// Models whose names have a slash are plug-ins, where there is a loader.
Result<TopologySpec, std::vector<ConfigError>> Load(std::string_view text,
                                                    std::string_view file_name,
                                                    std::span<const Model> models,
                                                    const PluginLoader& load_plugin = {});

// The same for a file by its path. Fails too when it cannot be read.
Result<TopologySpec, std::vector<ConfigError>> LoadFile(const std::string& path,
                                                        std::span<const Model> models,
                                                        const PluginLoader& load_plugin = {});

}  // namespace vfiolab::topology
