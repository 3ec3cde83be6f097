#include "transport/inquiry.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace vfiolab {
namespace {

bool IsSame(const struct statx& one, const struct statx& other) {
  if (S_ISCHR(one.stx_mode))
    return S_ISCHR(other.stx_mode) && one.stx_rdev_major == other.stx_rdev_major &&
           one.stx_rdev_minor == other.stx_rdev_minor;
  return one.stx_dev_major == other.stx_dev_major && one.stx_dev_minor == other.stx_dev_minor &&
         one.stx_ino == other.stx_ino;
}

// Outlives who waits for it.
struct Answered {
  const UniqueFd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::atomic<u64> handle{0};
};

}  // namespace

u64 Inquiry::Ask(pid_t tid, int fd, const struct statx& found) {
  auto copy = DuplicateDescriptor(tid, fd);
  if (!copy) return 0;
  if (const auto now = StatDescriptor(::getpid(), copy->get()); !now || !IsSame(found, *now)) {
    // Its close may wait for the client, for ever.
    std::thread([other = std::move(*copy)]() mutable { other.Reset(); }).detach();
    return 0;
  }
  std::unique_lock lock(mutex_);
  const u64 question = ++questions_;
  answers_[question] = 0;
  askers_.insert(::gettid());
  lock.unlock();
  call_(copy->get(), question);
  if (close_ == Close::kAtOnce)  // the client's own close shall be the last
    copy->Reset();
  else
    closer_->Post([ours = std::move(*copy)]() mutable { ours.Reset(); });
  lock.lock();
  askers_.extract(::gettid());
  return answers_.extract(question).mapped();
}

u64 Inquiry::Ask(pid_t tid, int fd, const struct statx& found, int source,
                 const std::function<bool()>& take) {
  const auto answered = std::make_shared<Answered>();
  if (!answered->event) return 0;
  asker_->Post([this, answered, tid, fd, found] {
    answered->handle = Ask(tid, fd, found);
    ::eventfd_write(answered->event.get(), 1);
  });
  const auto end = std::chrono::steady_clock::now() + Turn::kCutOff;
  std::array<pollfd, 2> ready{{{answered->event.get(), POLLIN, 0}, {source, POLLIN, 0}}};
  while (std::chrono::steady_clock::now() < end) {
    constexpr int kBetweenLooks = 100;  // ms
    ::poll(ready.data(), ready.size(), kBetweenLooks);
    eventfd_t count = 0;
    if (::eventfd_read(answered->event.get(), &count) == 0) return answered->handle;
    // Of a dead connection the kernel answers by itself.
    if (ready[1].revents != 0 && !take()) ready[1].fd = -1;
  }
  // Left to whatever holds it; the next question gets another thread.
  static_cast<void>(asker_.release());
  asker_ = std::make_unique<SideThread>();
  return 0;
}

bool Inquiry::IsAsking(pid_t tid) {
  const std::scoped_lock lock(mutex_);
  return askers_.contains(tid);
}

void Inquiry::Answer(u64 question, u64 handle) {
  const std::scoped_lock lock(mutex_);
  if (const auto answer = answers_.find(question); answer != answers_.end())
    answer->second = handle;
}

}  // namespace vfiolab
