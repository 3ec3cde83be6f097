#include "transport/inquiry.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>

namespace vfiolab {

Inquiry::Inquiry(Transport transport)
    : transport_(std::move(transport)), answered_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

u64 Inquiry::Ask(pid_t tid, int fd) {
  auto copy = DuplicateDescriptor(tid, fd);
  if (!copy) return 0;
  const u64 handle = AskCopy(copy->get());
  closer_.Post([copy = std::move(*copy)]() mutable { copy.Reset(); });
  return handle;
}

u64 Inquiry::AskCopy(int fd) {
  const auto found = StatDescriptor(::getpid(), fd);
  if (!found || !transport_.owns(*found)) return 0;
  std::unique_lock lock(mutex_);
  const u64 question = ++questions_;
  answers_[question] = 0;
  lock.unlock();
  transport_.call(fd, question);
  lock.lock();
  return answers_.extract(question).mapped();
}

u64 Inquiry::Ask(pid_t tid, int fd, int source, const std::function<bool()>& take) {
  u64 handle = 0;
  asker_.Post([&] {
    handle = Ask(tid, fd);
    ::eventfd_write(answered_.get(), 1);
  });
  std::array<pollfd, 2> ready{{{answered_.get(), POLLIN, 0}, {source, POLLIN, 0}}};
  while (true) {
    ::poll(ready.data(), ready.size(), -1);
    eventfd_t count = 0;
    if (::eventfd_read(answered_.get(), &count) == 0) return handle;
    // Of a dead connection the kernel answers by itself.
    if (ready[1].revents != 0 && !take()) ready[1].fd = -1;
  }
}

void Inquiry::Answer(u64 question, u64 handle) {
  const std::scoped_lock lock(mutex_);
  if (const auto answer = answers_.find(question); answer != answers_.end())
    answer->second = handle;
}

}  // namespace vfiolab
