// A mapping that begins elsewhere in its file than the client asks for. Whoever answers its call
// cannot change that; the thread's tracer can, and is told where by a signal, before the call is
// made again.
#pragma once
#include <signal.h>
#include <sys/types.h>

#include <optional>

#include "base/bytes.hpp"

namespace vfiolab {

// With this answer and a signal the kernel makes a call again: ERESTARTNOINTR (linux/errno.h).
inline constexpr int kMadeAgain = 513;

// For a thread that waits in mmap and is traced. False when it is gone or out of reach.
bool AskToMoveMapping(pid_t tid, u64 offset);

// Where, if a signal that a thread is about to get asks that.
std::optional<u64> MovedMappingOf(const siginfo_t& signal);

}  // namespace vfiolab
