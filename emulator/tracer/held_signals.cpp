#include "tracer/held_signals.hpp"

#include <sys/ptrace.h>
#include <sys/user.h>

#include "tracer/traced_call.hpp"

namespace vfiolab::tracer {
namespace {

constexpr int kOfCall = SIGTRAP | 0x80;
constexpr int kFirstRealTime = 32;

}  // namespace

long HeldSignals::Options() { return PTRACE_O_TRACESYSGOOD; }

bool HeldSignals::IsOfCall(int signal) { return signal == kOfCall; }

bool HeldSignals::Hold(pid_t tid) {
  Held held{};
  const u64 all = ~u64{0};
  if (::ptrace(PTRACE_GETSIGINFO, tid, nullptr, &held.info) != 0 ||
      ::ptrace(PTRACE_GETSIGMASK, tid, sizeof held.mask, &held.mask) != 0 ||
      ::ptrace(PTRACE_SETSIGMASK, tid, sizeof all, &all) != 0)
    return false;
  held_.emplace(tid, held);
  return true;
}

int HeldSignals::OnCall(pid_t tid) {
  const auto it = held_.find(tid);
  if (it == held_.end()) return 0;
  // A signal that cannot be blocked may have ended it once more.
  if (!HasReturned(tid)) return 0;
  const auto held = held_.extract(it).mapped();
  ::ptrace(PTRACE_SETSIGMASK, tid, sizeof held.mask, &held.mask);
  on_their_way_[{tid, held.info.si_signo}] = held.info;
  return held.info.si_signo;
}

// What was given back is behind those of its number that came meanwhile, and has a siginfo_t of its
// own: each takes that of the one before it. Of other than real-time signals there is only one.
void HeldSignals::OnDelivery(pid_t tid, int signal) {
  const auto it = on_their_way_.find({tid, signal});
  if (it == on_their_way_.end()) return;
  siginfo_t now{};
  ::ptrace(PTRACE_GETSIGINFO, tid, nullptr, &now);
  ::ptrace(PTRACE_SETSIGINFO, tid, nullptr, &it->second);
  if (signal < kFirstRealTime || now.si_code == SI_KERNEL)
    on_their_way_.erase(it);
  else
    it->second = now;
}

void HeldSignals::Forget(pid_t tid) {
  held_.erase(tid);
  std::erase_if(on_their_way_, [&](const auto& entry) { return entry.first.first == tid; });
}

}  // namespace vfiolab::tracer
