#include "preload/service.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "lease/messages.hpp"

namespace vfiolab::preload {

Service::Service(Step step)
    : step_(std::move(step)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  // Signals are the client's own affair; but the faults of copies are to be seen to.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGSEGV);
  ::sigdelset(&all, SIGBUS);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { Run([] { return true; }); }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Service::Service(Step step, const std::function<bool()>& goes_on) : step_(std::move(step)) {
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
    timespec time{};
    if (wait.left) {
      const auto left = std::max(*wait.left, Time{}).count();
      time = {left / 1'000'000'000, left % 1'000'000'000};
    }
    // What has come of late may come again sooner than a sleeping thread could be woken.
    const auto awake = std::chrono::steady_clock::now() + lease::Channel::kAwake;
    int count = 0;
    if (!has_come.empty()) do {
        count = ::poll(states.data(), states.size(), 0);
      } while (count == 0 && std::chrono::steady_clock::now() < awake);
    if (count == 0) ::ppoll(states.data(), states.size(), wait.left ? &time : nullptr, nullptr);
    has_come.clear();
    for (const pollfd& state : states)
      if (state.revents != 0) has_come.push_back(state.fd);
    u64 ignored = 0;
    if (states[0].revents != 0)
      static_cast<void>(::read(wake_.get(), &ignored, sizeof ignored) == 8);
  }
}

}  // namespace vfiolab::preload
