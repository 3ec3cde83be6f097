// A system call of a traced thread that a signal has ended.
#pragma once
#include <sys/types.h>

#include <array>
#include <optional>

#include "base/bytes.hpp"

namespace vfiolab::tracer {

// What a call that a signal has ended returns, before the kernel has asked whether the signal's
// handler wants it made again: ERESTARTSYS (linux/errno.h).
inline constexpr long kEndedBySignal = -512;

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
// has ended, and that the kernel would make again if the signal's handler said so.
std::optional<SystemCall> EndedCall(pid_t tid);

// Whether a read or write of a thread's descriptor may wait for something, and a signal end that.
bool CanBlock(pid_t tid, int descriptor);

}  // namespace vfiolab::tracer
