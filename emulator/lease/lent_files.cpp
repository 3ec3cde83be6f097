#include "lease/lent_files.hpp"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace vfiolab::lease {

void LentFiles::Begin() {
  if (!watches_) watches_.Reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

// That of the last close, or of the end of the file that goes with it, whichever the kernel has.
void LentFiles::Add(const Shared& opened, int fd) {
  if (!files_.emplace(opened->number, opened).second) return;
  const int watch = ::inotify_add_watch(watches_.get(), fmt::format("/proc/self/fd/{}", fd).c_str(),
                                        IN_CLOSE | IN_DELETE_SELF);
  if (watch >= 0) numbers_[watch] = opened->number;
}

LentFiles::Shared LentFiles::Find(u64 number) const {
  const auto found = files_.find(number);
  return found == files_.end() ? nullptr : found->second;
}

u64 LentFiles::NumberOf(const OpenFile& file) const {
  for (const auto& [number, opened] : files_)
    if (opened->file.get() == &file) return number;
  return 0;
}

std::vector<LentFiles::Shared> LentFiles::TakeReturned() {
  std::vector<Shared> returned;
  alignas(inotify_event) std::array<char, 4096> events;
  for (ssize_t size = 0; watches_ && !numbers_.empty() &&
                         (size = ::read(watches_.get(), events.data(), events.size())) > 0;) {
    for (ssize_t at = 0; at < size;) {
      inotify_event event;
      std::memcpy(&event, events.data() + at, sizeof event);
      at += static_cast<ssize_t>(sizeof event + event.len);
      const auto number = numbers_.extract(event.wd);
      if (number.empty()) continue;
      auto file = files_.extract(number.mapped());
      if (!file.empty()) returned.push_back(std::move(file.mapped()));
    }
  }
  return returned;
}

}  // namespace vfiolab::lease
