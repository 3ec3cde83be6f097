// Shared objects with models in them.
#pragma once
#include <string>

#include "base/result.hpp"
#include "device/model.hpp"

namespace vfiolab::plugins {

// The model of the shared object at `path`; `name` is how a topology calls it. The object stays
// loaded, and the model valid, until the process ends. ENOENT: there is none, or it cannot be
// loaded. EINVAL: it is no plug-in. The reason says more.
Result<Model> LoadPlugin(const std::string& path, const std::string& name);

}  // namespace vfiolab::plugins
