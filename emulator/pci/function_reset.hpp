// How a function can be reset without its neighbours.
#pragma once
#include <string>

#include "pci/config_space.hpp"

namespace vfiolab {

// The ways that the function itself offers, in the order in which Linux tries them and as its sysfs
// names them (drivers/pci/pci.c pci_reset_fn_methods): "flr", "af_flr", "pm", with spaces between.
std::string FunctionResets(const ConfigSpace& config);

}  // namespace vfiolab
