#include "process/moved_mapping.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include "process/thread_status.hpp"

namespace vfiolab {

// SIGSTOP, because it cannot be blocked. A process that forges it moves a mapping of its own.
bool AskToMoveMapping(pid_t tid, u64 offset) {
  siginfo_t signal{};
  signal.si_signo = SIGSTOP;
  signal.si_code = SI_QUEUE;
  signal.si_value.sival_ptr = reinterpret_cast<void*>(offset);
  return ::syscall(SYS_rt_tgsigqueueinfo, ThreadStatus(tid).process(), tid, SIGSTOP, &signal) == 0;
}

std::optional<u64> MovedMappingOf(const siginfo_t& signal) {
  if (signal.si_signo != SIGSTOP || signal.si_code != SI_QUEUE) return std::nullopt;
  return reinterpret_cast<u64>(signal.si_value.sival_ptr);
}

}  // namespace vfiolab
