// Calls by which a process loses memory that it has: munmap, mremap, mmap over a mapping, madvise.
#pragma once
#include <sys/syscall.h>

#include <array>

#include "process/caller.hpp"
#include "process/dropping_advice.hpp"
#include "transport/event_loop.hpp"
#include "transport/trapped_call.hpp"

namespace vfiolab {

constexpr std::array<int, 2> kUnmappingCalls{SYS_munmap, SYS_mremap};

// Tells the core of what the call is about to take, if it is one of those. What the kernel does not
// say, whether mremap() moves a mapping that grows, is taken as if it did. In the core's turn.
void TellOfMemory(EventLoop& loop, CallerServices& services, const TrappedCall& call);

}  // namespace vfiolab
