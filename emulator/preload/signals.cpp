// Handlers of SIGSEGV and SIGBUS that a program sets come after ours.
#include <signal.h>

#include "preload/answer.hpp"
#include "preload/host.hpp"
#include "preload/real.hpp"
#include "process/fault_signals.hpp"

using namespace vfiolab::preload;

VFIOLAB_INTERPOSED int sigaction(int signal, const struct sigaction* action,
                                 struct sigaction* before) noexcept {
  const bool is_fault = signal == SIGSEGV || signal == SIGBUS;
  if (is_fault && Host::Get() != nullptr && vfiolab::SetFaultAction(signal, action, before))
    return 0;
  return real(sigaction)(signal, action, before);
}

VFIOLAB_INTERPOSED sighandler_t signal(int number, sighandler_t handler) noexcept {
  if (number != SIGSEGV && number != SIGBUS) return real(signal)(number, handler);
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaddset(&action.sa_mask, number);
  return ::sigaction(number, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}
