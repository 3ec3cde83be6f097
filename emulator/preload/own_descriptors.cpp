// Descriptors of this library, which share their numbers with the program's: they are where
// programs seldom are, and stay open when a program closes all that there are.
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>

#include "preload/host.hpp"
#include "preload/real.hpp"

namespace vfiolab::preload {
namespace {

// Above what shells use, and below what select() can take.
int FirstOwn() {
  constexpr rlim_t kFirst = 768;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<int>(std::min(kFirst, limit.rlim_cur / 4 * 3));
}

int Keep(int fd) {
  const int moved = fd >= FirstOwn() ? fd : real(fcntl)(fd, F_DUPFD_CLOEXEC, FirstOwn());
  if (moved < 0) return fd;
  if (moved != fd) real(close)(fd);
  Host::SetOwn(moved, true);
  return moved;
}

void Close(int fd) {
  Host::SetOwn(fd, false);
  real(close)(fd);
}

constexpr DescriptorKeeper kKeeper{&Keep, &Close};
__attribute__((constructor(101))) void KeepDescriptors() { descriptor_keeper = &kKeeper; }

}  // namespace

void Host::SetOwn(int fd, bool own) {
  if (static_cast<std::size_t>(fd) < kMostDescriptors)
    kind_of[static_cast<std::size_t>(fd)] = own ? Kind::kOwn : Kind::kNone;
}

}  // namespace vfiolab::preload
