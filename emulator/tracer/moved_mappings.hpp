// Calls of mmap that are made at another offset than the thread has asked for.
#pragma once
#include <sys/types.h>

#include <map>

#include "base/bytes.hpp"

namespace vfiolab::tracer {

class MovedMappings {
 public:
  // For a thread that has stopped before a signal is delivered. True when the signal asks to move
  // the mapping that the thread is about to make again; it is not to be delivered then.
  bool Begin(pid_t tid);
  bool Has(pid_t tid) const { return asked_for_.contains(tid); }
  // At the beginning and end of the call: gives the thread back what it had in its register.
  void OnCall(pid_t tid);
  void Forget(pid_t tid) { asked_for_.erase(tid); }

 private:
  std::map<pid_t, u64> asked_for_;  // offsets
};

}  // namespace vfiolab::tracer
