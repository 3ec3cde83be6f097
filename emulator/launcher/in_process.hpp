// A command whose emulated host lives in its own process.
#pragma once
#include "launcher/commands.hpp"

namespace vfiolab::launcher {

// As Run(). 126: the command is linked statically.
int RunInProcess(const RunOptions& options);

}  // namespace vfiolab::launcher
