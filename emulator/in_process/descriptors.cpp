#include "in_process/descriptors.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace vfiolab::in_process {

Descriptors::~Descriptors() {
  for (std::size_t fd = 0; fd < files_.size(); ++fd)
    if (files_[fd] != nullptr) ::close(static_cast<int>(fd));
}

Result<int> Descriptors::Add(std::shared_ptr<OpenFile> file) {
  const int fd = ::memfd_create("vfiolab", MFD_CLOEXEC);
  if (fd < 0) return Fail(errno, "no descriptor is left");
  const auto at = static_cast<std::size_t>(fd);
  if (at >= files_.size()) files_.resize(at + 1);
  files_[at] = std::move(file);
  return fd;
}

std::shared_ptr<OpenFile> Descriptors::Remove(int fd) {
  if (Find(fd) == nullptr) return nullptr;
  ::close(fd);
  return std::exchange(files_[static_cast<std::size_t>(fd)], nullptr);
}

}  // namespace vfiolab::in_process
