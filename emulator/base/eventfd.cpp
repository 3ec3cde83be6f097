#include "base/eventfd.hpp"

#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <array>
#include <cstdint>

namespace vfiolab {
namespace {

// The way of a process to the kernel's own eventfd_signal(), which never waits and makes a full
// counter overflow: it is called when an asynchronous read is done that names an eventfd.
class CompletedReads {
 public:
  CompletedReads() : file_(::memfd_create("vfiolab-eventfd", MFD_CLOEXEC)) {
    if (::syscall(SYS_io_setup, kEvents, &context_) != 0) context_ = 0;
  }

  // False where the kernel offers no such reads.
  bool Signal(int eventfd) {
    if (context_ == 0 || !file_) return false;
    iocb read{};
    read.aio_lio_opcode = IOCB_CMD_PREAD;
    read.aio_fildes = static_cast<std::uint32_t>(file_.get());  // empty: done at once
    read.aio_flags = IOCB_FLAG_RESFD;
    read.aio_resfd = static_cast<std::uint32_t>(eventfd);
    iocb* reads[] = {&read};
    if (pending_ == kEvents) {
      ::syscall(SYS_io_getevents, context_, 0L, long{kEvents}, events_.data(), nullptr);
      pending_ = 0;
    }
    if (::syscall(SYS_io_submit, context_, 1L, reads) != 1) return false;
    ++pending_;
    return true;
  }

 private:
  static constexpr unsigned kEvents = 32;
  UniqueFd file_;
  aio_context_t context_ = 0;
  unsigned pending_ = 0;
  std::array<io_event, kEvents> events_{};
};

}  // namespace

void Eventfd::Signal() const {
  static CompletedReads reads;
  if (reads.Signal(fd_.get())) return;
  // A blocking eventfd at its maximum would make write() wait for the client.
  pollfd state{fd_.get(), POLLOUT, 0};
  if (::poll(&state, 1, 0) != 1 || (state.revents & POLLOUT) == 0) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
}

}  // namespace vfiolab
