// Linux's VFIO rules, told as the tests of a client. The program knows nothing of who implements
// them: it passes on a kernel with a real IOMMU driver, and on anything that claims to behave like
// one.
#define CATCH_CONFIG_MAIN
#include <poll.h>

#include "client.hpp"

uint64_t Event::Take(int milliseconds) const {
  pollfd waiting{fd_, POLLIN, 0};
  ::poll(&waiting, 1, milliseconds);
  eventfd_t count = 0;
  return ::eventfd_read(fd_, &count) == 0 ? count : 0;
}
