// Who has the machine when the process that had it runs another program, or ends, while its files
// are open elsewhere: a copy of that process, which does nothing else and ends with the last of
// them.
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/answer.hpp"
#include "preload/real.hpp"
#include "preload/turn.hpp"
#include "process/thread_status.hpp"

namespace vfiolab::preload {
namespace {

// A child that the program has not to wait for.
bool IsInGrandchild() {
  const pid_t child = ::fork();
  if (child == 0 && ::fork() == 0) return true;
  if (child == 0) real(_exit)(0);
  while (child > 0 && ::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  return false;
}

void BlockSignals() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGSEGV);
  ::sigdelset(&all, SIGBUS);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

// What is open by the process itself alone is closed with it, which the caretaker then learns.
void Host::HandOver() {
  if (handed_over_ || !lease_.held() || guests_.lent().empty()) return;
  sigset_t before;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  BlockSignals();
  handed_over_ = true;
  if (IsInGrandchild()) TakeCare();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Host::TakeCare() {
  ::setsid();
  for (const int fd : NumbersIn("/proc/self/fd"))
    if (!IsOwn(fd)) real(close)(fd);
  kept_.clear();
  handed_over_ = false;
  process_.Forsake();
  process_id_ = ::getpid();
  mutex_.unlock();
  Service service([this](const auto& ready) { return Step(ready); }, [this] { return Look(); },
                  [this] { return lease_.held(); });
  real(_exit)(0);
  __builtin_unreachable();
}

void Host::BeforeEnd() {
  Host* host = Existing();
  if (host == nullptr || IsChildOfVfork()) return;
  const Turn turn(*host);
  host->HandOver();
}

// The machine is elsewhere now.
void Host::AfterAll() {
  Host* host = Existing();
  if (host != nullptr && host->handed_over_) InChild();
}

}  // namespace vfiolab::preload

using namespace vfiolab::preload;

namespace {

// After all others, which may have something to write.
__attribute__((destructor(101))) void AtEnd() { Host::BeforeEnd(); }

}  // namespace

VFIOLAB_INTERPOSED void _exit(int status) {
  Host::BeforeEnd();
  real(_exit)(status);
  __builtin_unreachable();
}
VFIOLAB_INTERPOSED void _Exit(int status) noexcept { _exit(status); }
