// Where the core's thread runs: near the client that calls.
#pragma once
#include <sys/types.h>

namespace vfiolab {

// A wake-up across CPUs costs several times what the call does: the core's thread moves to the CPU
// of a client that is bound to it, and for one that is free it should wait awake a little.
class Placement {
 public:
  // By the core's thread, now and then: `tid` calls.
  void Follow(pid_t tid);
  // Whether the next call may come sooner than a sleeping thread could be woken.
  bool spin() const { return spin_; }

 private:
  bool spin_ = false;
};

}  // namespace vfiolab
