// Programs that are about to be started.
#pragma once
#include <string>

namespace vfiolab {

// Where execvp() finds a command; the command itself where it does not, or has a slash.
std::string FindProgram(const std::string& command);

// Whether a program has no dynamic loader that could put a library in front of its own.
bool IsStatic(const std::string& program);

}  // namespace vfiolab
