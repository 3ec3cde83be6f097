// Signals that wait for a system call. In the kernel no signal ends a call of VFIO: it is done, and
// then the handler runs. A call that is handed over can be ended before it is taken up; then it is
// made again, with all signals of the thread blocked until it is done.
#pragma once
#include <signal.h>
#include <sys/types.h>

#include <map>

#include "base/bytes.hpp"

namespace vfiolab::tracer {

class HeldSignals {
 public:
  // Options of PTRACE_SEIZE that it relies on.
  static long Options();

  // For a thread that has stopped before a signal is delivered, which has ended its call. False
  // when that cannot be done: then the signal is to be delivered.
  bool Hold(pid_t tid);
  bool Has(pid_t tid) const { return held_.contains(tid); }

  // Whether a stop is one that Hold() has asked for, at the beginning or end of the call.
  static bool IsOfCall(int signal);
  // For such a stop: the signal that the thread goes on with; 0: none yet.
  int OnCall(pid_t tid);
  // For a thread that has stopped before any signal is delivered.
  void OnDelivery(pid_t tid, int signal);

  void Forget(pid_t tid);

 private:
  struct Held {
    u64 mask;  // what the thread itself has blocked
    siginfo_t info;
  };
  std::map<pid_t, Held> held_;
  // Given back, and not delivered yet; by thread and number.
  std::map<std::pair<pid_t, int>, siginfo_t> on_their_way_;
};

}  // namespace vfiolab::tracer
