// System calls of a traced thread.
#pragma once
#include <sys/types.h>

#include <array>
#include <optional>

#include "base/bytes.hpp"

namespace vfiolab::tracer {

struct SystemCall {
  long number;
  std::array<u64, 4> arguments;  // the first ones
};

// Whether a call that a signal has ended is made again, before the signal is delivered.
enum class Restart {
  kNo,
  kYes,               // it was ended before it was made
  kUnlessItCanBlock,  // or else by the file of its first argument, if that can block
};

// For a thread that has stopped before a signal is delivered: the call of x86-64 that the signal
// has ended, and that the kernel makes again, if the signal's handler says so or in any case.
std::optional<SystemCall> EndedCall(pid_t tid);

// For a thread that has stopped at the beginning or end of a call (PTRACE_SYSCALL): whether that
// is its end, and it is not to be made again.
bool HasReturned(pid_t tid);

// Whether a read or write of a thread's descriptor may wait for something, and a signal end that.
bool CanBlock(pid_t tid, int descriptor);

}  // namespace vfiolab::tracer
