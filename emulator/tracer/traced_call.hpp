// A system call of a traced thread that a signal has ended.
#pragma once
#include <sys/types.h>

#include <array>
#include <functional>

#include "base/bytes.hpp"

namespace vfiolab::tracer {

struct SystemCall {
  long number;
  std::array<u64, 4> arguments;  // the first ones
};

// Whether a call that a signal has ended begins anew after the signal's handler, whatever
// SA_RESTART says.
enum class Restart {
  kNo,
  kYes,               // it was ended before it was made
  kUnlessItCanBlock,  // or else by the file of its first argument, if that can block
};

// For a thread that has stopped before a signal is delivered: if the signal has ended a call of
// x86-64, and `restarts` says so of it, the call begins anew.
void BeginAnew(pid_t tid, const std::function<bool(const SystemCall&)>& restarts);

// Whether a read or write of a thread's descriptor may wait for something, and a signal end that.
bool CanBlock(pid_t tid, int descriptor);

}  // namespace vfiolab::tracer
