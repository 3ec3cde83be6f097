#include "process/fault_signals.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "base/check.hpp"

// The C library's own, where something stands in front of sigaction().
extern "C" int __sigaction(int signal, const struct sigaction* action, struct sigaction* before);

namespace vfiolab {
namespace {

constexpr std::size_t kMost = 4;
std::array<std::atomic<FaultHandler>, kMost> handlers;
// Of whoever comes after ours.
struct sigaction previous_segv, previous_bus;
struct sigaction& PreviousOf(int signal) {
  return signal == SIGBUS ? previous_bus : previous_segv;
}

// Nobody is asked when the instruction faults again.
void EndBy(int signal) {
  struct sigaction none {};
  none.sa_handler = SIG_DFL;
  ::__sigaction(signal, &none, nullptr);
}

// As the kernel would call the one who comes after; whoever it interrupts has its own mask again
// when the handler returns.
void PassOn(int raised, siginfo_t* info, void* context) {
  const int signal = info->si_signo;
  struct sigaction& previous = PreviousOf(signal);
  const struct sigaction action = previous;
  const bool with_info = (action.sa_flags & SA_SIGINFO) != 0;
  if (!with_info && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) {
    EndBy(signal);
    if (signal != raised) ::raise(signal);
    return;
  }
  if ((action.sa_flags & SA_RESETHAND) != 0) previous = {};
  sigset_t blocked = action.sa_mask;
  if ((action.sa_flags & SA_NODEFER) == 0) ::sigaddset(&blocked, signal);
  ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  if (with_info)
    action.sa_sigaction(signal, info, context);
  else
    action.sa_handler(signal);
}

void OnFault(int signal, siginfo_t* info, void* context) {
  for (const FaultHandler handler : handlers)
    if (handler != nullptr && handler(*info, *static_cast<ucontext_t*>(context))) return;
  PassOn(signal, info, context);
}

bool IsOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == OnFault;
}

void Install(int signal) {
  struct sigaction now {};
  ::__sigaction(signal, nullptr, &now);
  if (IsOurs(now)) return;
  PreviousOf(signal) = now;
  struct sigaction action {};
  action.sa_sigaction = OnFault;
  // A handler may fault itself, at what it looks after.
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  ::__sigaction(signal, &action, nullptr);
}

}  // namespace

void AddFaultHandler(FaultHandler handler) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  Install(SIGSEGV);
  Install(SIGBUS);
  const auto is = [](FaultHandler wanted) {
    return [wanted](const auto& entry) { return entry.load() == wanted; };
  };
  if (std::ranges::any_of(handlers, is(handler))) return;
  const auto free = std::ranges::find_if(handlers, is(nullptr));
  CHECK_OURS(free != handlers.end());
  *free = handler;
}

bool SetFaultAction(int signal, const struct sigaction* action, struct sigaction* before) {
  struct sigaction now {};
  if ((signal != SIGSEGV && signal != SIGBUS) || ::__sigaction(signal, nullptr, &now) != 0 ||
      !IsOurs(now))
    return false;
  const struct sigaction previous = PreviousOf(signal);
  if (action != nullptr) PreviousOf(signal) = *action;
  if (before != nullptr) *before = previous;
  return true;
}

}  // namespace vfiolab
