#include "base/eventfd.hpp"

#include <poll.h>

#include <cstdint>

namespace vfiolab {

void Eventfd::Signal() const {
  // A blocking eventfd at its maximum would make write() wait for the client.
  pollfd ready{fd_.get(), POLLOUT, 0};
  if (::poll(&ready, 1, 0) != 1) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
}

}  // namespace vfiolab
