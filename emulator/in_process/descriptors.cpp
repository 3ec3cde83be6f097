#include "in_process/descriptors.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace vfiolab::in_process {

Descriptors::~Descriptors() {
  for (std::size_t fd = 0; fd < opened_.size(); ++fd)
    if (opened_[fd] != nullptr) ::close(static_cast<int>(fd));
}

Result<int> Descriptors::Add(OpenDescription opened) {
  opened.number = NewNumber();
  const int fd = ::memfd_create(name_(opened).c_str(), MFD_CLOEXEC);
  if (fd < 0) return Fail(errno, "no descriptor is left");
  Put(fd, std::make_shared<OpenDescription>(std::move(opened)));
  return fd;
}

void Descriptors::Put(int fd, Shared opened) {
  const auto at = static_cast<std::size_t>(fd);
  if (at >= opened_.size()) opened_.resize(at + 1);
  if (opened_[at] == nullptr) ++count_;
  opened_[at] = std::move(opened);
}

std::vector<int> Descriptors::numbers() const {
  std::vector<int> found;
  for (std::size_t fd = 0; fd < opened_.size(); ++fd)
    if (opened_[fd] != nullptr) found.push_back(static_cast<int>(fd));
  return found;
}

std::shared_ptr<OpenFile> Descriptors::Remove(int fd) {
  if (Find(fd) == nullptr) return nullptr;
  --count_;
  const Shared removed = std::exchange(opened_[static_cast<std::size_t>(fd)], nullptr);
  return removed.use_count() == 1 ? std::move(removed->file) : nullptr;
}

}  // namespace vfiolab::in_process
