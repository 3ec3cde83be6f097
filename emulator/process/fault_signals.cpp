#include "process/fault_signals.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <utility>

#include "base/check.hpp"

namespace vfiolab {
namespace {

constexpr std::size_t kMost = 4;
std::array<std::atomic<FaultHandler>, kMost> handlers;
struct sigaction previous_segv, previous_bus;
thread_local bool passed_on = false;

// Nobody is asked when the instruction faults again.
void EndBy(int signal) {
  struct sigaction none {};
  none.sa_handler = SIG_DFL;
  ::sigaction(signal, &none, nullptr);
}

void PassOn(int raised, siginfo_t* info, void* context) {
  const int signal = info->si_signo;
  const struct sigaction& previous = signal == SIGBUS ? previous_bus : previous_segv;
  const bool with_info = (previous.sa_flags & SA_SIGINFO) != 0;
  const bool nobody =
      !with_info && (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN);
  // Whoever is asked may ask us in turn.
  if (nobody || std::exchange(passed_on, true)) {
    EndBy(signal);
    if (signal != raised) ::raise(signal);
    return;
  }
  if (with_info)
    previous.sa_sigaction(signal, info, context);
  else
    previous.sa_handler(signal);
  passed_on = false;
}

void OnFault(int signal, siginfo_t* info, void* context) {
  for (std::size_t i = kMost; i-- > 0;)
    if (const FaultHandler handler = handlers[i];
        handler != nullptr && handler(*info, *static_cast<ucontext_t*>(context)))
      return;
  PassOn(signal, info, context);
}

void Install(int signal, struct sigaction& previous) {
  struct sigaction now {};
  ::sigaction(signal, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == OnFault) return;
  previous = now;
  struct sigaction action {};
  action.sa_sigaction = OnFault;
  // A handler may fault itself, at what it looks after.
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void AddFaultHandler(FaultHandler handler) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  Install(SIGSEGV, previous_segv);
  Install(SIGBUS, previous_bus);
  const auto is = [](FaultHandler wanted) {
    return [wanted](const auto& entry) { return entry.load() == wanted; };
  };
  if (std::ranges::any_of(handlers, is(handler))) return;
  const auto free = std::ranges::find_if(handlers, is(nullptr));
  CHECK_OURS(free != handlers.end());
  *free = handler;
}

}  // namespace vfiolab
