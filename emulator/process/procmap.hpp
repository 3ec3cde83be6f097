// One mapping of a client's mm, as /proc/PID/maps knows it.
#pragma once
#include <sys/types.h>

#include "base/address.hpp"
#include "base/result.hpp"

namespace vfiolab {

struct Vma {
  u64 first;
  u64 last;  // inside
  bool readable;
  bool writable;
  bool shared;
  u64 offset;  // in the file
  dev_t device;
  ino_t inode;  // 0: no file
};

// The mapping that covers `at`, or the next one above; from an open /proc/PID/maps, so that it
// speaks of the mm that was opened. ENOENT: nothing there or above. ESRCH: the mm is gone.
Result<Vma> FindVma(int maps_fd, u64 at);

// The slow way, for kernels without PROCMAP_QUERY (before 6.11).
Result<Vma> FindVmaInText(int maps_fd, u64 at);

}  // namespace vfiolab
