// A command whose emulated host lives in its own process.
#pragma once
#include <string>

#include "launcher/commands.hpp"

namespace vfiolab::launcher {

// As Run(). 126: the command is linked statically.
int RunInProcess(const RunOptions& options);

// Whether a program has no dynamic loader that could put a library in front of its own.
bool IsStatic(const std::string& program);

}  // namespace vfiolab::launcher
