// A system call of a traced thread that a signal has ended.
#pragma once
#include <sys/types.h>

#include <array>

#include "base/bytes.hpp"

namespace vfiolab::tracer {

struct SystemCall {
  long number;
  std::array<u64, 4> arguments;  // the first ones
};

// For a thread that has stopped before a signal is delivered: if the signal has ended a call of
// x86-64, and `is_ours` says so of it, the call begins anew after the signal's handler, whatever
// SA_RESTART says.
void BeginAnew(pid_t tid, bool (*is_ours)(const SystemCall&));

}  // namespace vfiolab::tracer
