#include "base/eventfd.hpp"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/syscall.h>

#include <cstdint>

namespace vfiolab {
namespace {

// Only the kernel can signal an eventfd whose counter is as high as write() makes it: it does so
// when an asynchronous read completes.
void Overflow(int eventfd) {
  const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  aio_context_t context = 0;
  if (!zero || ::syscall(SYS_io_setup, 1, &context) != 0) return;
  char byte = 0;
  iocb read{};
  read.aio_lio_opcode = IOCB_CMD_PREAD;
  read.aio_fildes = static_cast<std::uint32_t>(zero.get());
  read.aio_buf = reinterpret_cast<std::uint64_t>(&byte);
  read.aio_nbytes = sizeof byte;
  read.aio_flags = IOCB_FLAG_RESFD;
  read.aio_resfd = static_cast<std::uint32_t>(eventfd);
  iocb* reads[] = {&read};
  ::syscall(SYS_io_submit, context, 1, reads);
  ::syscall(SYS_io_destroy, context);  // waits for the read
}

}  // namespace

void Eventfd::Signal() const {
  // A blocking eventfd at its maximum would make write() wait for the client.
  pollfd state{fd_.get(), POLLOUT, 0};
  if (::poll(&state, 1, 0) < 0) return;
  if ((state.revents & POLLOUT) == 0) return Overflow(fd_.get());
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
}

}  // namespace vfiolab
