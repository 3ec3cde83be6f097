#include "preload/service.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "lease/messages.hpp"

namespace vfiolab::preload {

Service::Service(Step step, Look look)
    : step_(std::move(step)),
      look_(std::move(look)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  // Signals are the client's own affair; but the faults of copies are to be seen to.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGSEGV);
  ::sigdelset(&all, SIGBUS);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { Run([] { return true; }); }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Service::Service(Step step, Look look, const std::function<bool()>& goes_on)
    : step_(std::move(step)), look_(std::move(look)) {
  Run(goes_on);
}

void Service::Wake() {
  const u64 one = 1;
  if (asleep_.exchange(false)) static_cast<void>(::write(wake_.get(), &one, sizeof one) == 8);
}

void Service::Run(const std::function<bool()>& goes_on) {
  std::vector<int> has_come;
  std::vector<pollfd> states;
  while (goes_on()) {
    // Whoever changes something from here on wakes it.
    asleep_ = true;
    const Wait wait = step_(has_come);
    if (!goes_on()) return;
    states.assign(1, {wake_.get(), POLLIN, 0});
    for (const int fd : wait.fds) states.push_back({fd, POLLIN, 0});
    Await(wait, states, !has_come.empty());
    has_come.clear();
    for (const pollfd& state : states)
      if (state.revents != 0) has_come.push_back(state.fd);
    u64 ignored = 0;
    if (states[0].revents != 0)
      static_cast<void>(::read(wake_.get(), &ignored, sizeof ignored) == 8);
  }
}

// A system call costs as much as many looks. Where one store follows the other, others have their
// turn, too.
Service::Seen Service::LookAwhile() {
  constexpr int kLooks = 64;
  Seen all = Seen::kNothing;
  for (int i = 0; i < kLooks && all != Seen::kDue; ++i) all = std::max(all, look_());
  if (all != Seen::kNothing) changed_ = std::chrono::steady_clock::now();
  return all;
}

void Service::Await(const Wait& wait, std::vector<pollfd>& states, bool has_come) {
  using std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kAwakeAtMemory{1}, kLately{1000}, kRarely{1};
  constexpr std::chrono::microseconds kOften{50};
  const auto start = steady_clock::now();
  const auto due =
      wait.left ? start + std::max(*wait.left, Time{}) : steady_clock::time_point::max();
  // What has come of late may come again sooner than a sleeping thread could be woken.
  auto awake = has_come ? start + lease::Channel::kAwake : start;
  if (!std::exchange(looks_, wait.looks) && looks_) changed_ = start;  // there will be some soon
  while (true) {
    if (looks_ && LookAwhile() == Seen::kDue) return;
    if (looks_) awake = std::max(awake, changed_ + kAwakeAtMemory);
    const auto now = steady_clock::now();
    if (now >= due) return;
    Time left = due - now;
    if (looks_) left = std::min<Time>(left, now - changed_ < kLately ? kOften : kRarely);
    if (now < awake) left = Time{};
    const timespec time{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    const bool for_ever = !wait.left && !looks_ && now >= awake;
    if (::ppoll(states.data(), states.size(), for_ever ? nullptr : &time, nullptr) != 0) return;
  }
}

}  // namespace vfiolab::preload
