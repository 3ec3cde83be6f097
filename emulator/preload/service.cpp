#include "preload/service.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

namespace vfiolab::preload {

Service::Service(Step step)
    : step_(std::move(step)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  // Signals are the client's own affair; but the faults of copies are to be seen to.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGSEGV);
  ::sigdelset(&all, SIGBUS);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { Run(); }).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Service::Wake() {
  const u64 one = 1;
  if (asleep_.exchange(false)) static_cast<void>(::write(wake_.get(), &one, sizeof one) == 8);
}

void Service::Run() {
  while (true) {
    // Whoever changes something from here on wakes it.
    asleep_ = true;
    const Wait wait = step_();
    std::vector<pollfd> ready{{wake_.get(), POLLIN, 0}};
    for (const int eventfd : wait.eventfds) ready.push_back({eventfd, POLLIN, 0});
    timespec time{};
    if (wait.left) {
      const auto left = std::max(*wait.left, Time{}).count();
      time = {left / 1'000'000'000, left % 1'000'000'000};
    }
    ::ppoll(ready.data(), ready.size(), wait.left ? &time : nullptr, nullptr);
    u64 ignored = 0;
    static_cast<void>(::read(wake_.get(), &ignored, sizeof ignored) == 8);
  }
}

}  // namespace vfiolab::preload
