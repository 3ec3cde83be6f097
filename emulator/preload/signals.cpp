// Handlers of signals. Those of SIGSEGV and SIGBUS come after ours. Others may make calls of the
// emulated host, which the thread that they interrupt may be in the middle of: then they wait until
// it has done its work there.
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>

#include "preload/answer.hpp"
#include "preload/real.hpp"
#include "preload/turn.hpp"
#include "process/fault_signals.hpp"

using namespace vfiolab::preload;

namespace {

// What the program wants to be done, by signal.
std::array<struct sigaction, _NSIG> actions;
thread_local sigset_t put_off;

bool Handles(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 ||
         (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

void Handle(int signal, siginfo_t* info, void* context) {
  const struct sigaction action = actions[static_cast<std::size_t>(signal)];
  if ((action.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) ::signal(signal, SIG_DFL);
  if ((action.sa_flags & SA_SIGINFO) != 0)
    action.sa_sigaction(signal, info, context);
  else
    action.sa_handler(signal);
}

void OnSignal(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  if (at_work == 0) {
    Handle(signal, info, context);
  } else if (only_waits) {
    const Host::Turn::Nested nested;
    Handle(signal, info, context);
  } else {
    // The thread blocks it and gets it once more.
    if (!has_put_off) ::sigemptyset(&put_off);
    ::sigaddset(&put_off, signal);
    ::sigaddset(&static_cast<ucontext_t*>(context)->uc_sigmask, signal);
    has_put_off = true;
    ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::gettid(), signal, info);
  }
  errno = error;
}

bool IsOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == &OnSignal;
}

}  // namespace

void vfiolab::preload::TakeSignalsPutOff() {
  has_put_off = false;
  const int error = errno;
  const sigset_t signals = put_off;
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  errno = error;
}

VFIOLAB_INTERPOSED int sigaction(int signal, const struct sigaction* action,
                                 struct sigaction* before) noexcept {
  if (Host::SharedDirectory() == nullptr || signal <= 0 || signal >= _NSIG)
    return real(sigaction)(signal, action, before);
  const bool is_fault = signal == SIGSEGV || signal == SIGBUS;
  if (is_fault && Host::Get() != nullptr && vfiolab::SetFaultAction(signal, action, before))
    return 0;
  if (is_fault || at_work > 0) return real(sigaction)(signal, action, before);
  struct sigaction& wanted = actions[static_cast<std::size_t>(signal)];
  const struct sigaction was = wanted;
  struct sigaction now {};
  if (action != nullptr && Handles(*action)) {
    now = *action;
    now.sa_sigaction = &OnSignal;
    now.sa_flags = (now.sa_flags & ~static_cast<int>(SA_RESETHAND)) | SA_SIGINFO;
    wanted = *action;
  } else if (action != nullptr) {
    now = *action;
  }
  struct sigaction old {};
  if (real(sigaction)(signal, action == nullptr ? nullptr : &now, &old) != 0) {
    wanted = was;
    return -1;
  }
  if (before != nullptr) *before = IsOurs(old) ? was : old;
  return 0;
}

VFIOLAB_INTERPOSED sighandler_t signal(int number, sighandler_t handler) noexcept {
  if (Host::SharedDirectory() == nullptr) return real(signal)(number, handler);
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaddset(&action.sa_mask, number);
  return ::sigaction(number, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}
