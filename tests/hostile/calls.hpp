// The ioctls of VFIO, each as a driver would call it.
#pragma once
#include <cstddef>
#include <cstring>
#include <vector>

#include "hostile/thread.hpp"

namespace hostile {

struct VfioCall {
  Kind kind;
  unsigned long command;
  Sort sort;                     // the kind of descriptor that it is for
  std::vector<std::byte> bytes;  // the struct; empty when the argument is a value
  unsigned long value = 0;
};

// The ioctl of this kind (below kIoctls), valid or nearly so for what is held.
VfioCall MakeCall(Kind kind, Thread& thread);

// Makes it, with its struct across the brink.
long Perform(Thread& thread, const VfioCall& call, int fd, std::size_t cut, Border border);

}  // namespace hostile
