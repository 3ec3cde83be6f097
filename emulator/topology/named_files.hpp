// Files that a topology names: dumps of config space, and ROMs.
#pragma once
#include <span>
#include <string>

#include "device/model.hpp"
#include "topology/config_error.hpp"
#include "topology/draft.hpp"

namespace vfiolab::topology {

// Reads the dumps that devices name, for models that want them, and their ROMs (1 byte to 16 MiB),
// from `directory`.
void ReadNamedFiles(Draft& draft, std::span<const Model> models, const std::string& directory,
                    ErrorList& errors);

}  // namespace vfiolab::topology
