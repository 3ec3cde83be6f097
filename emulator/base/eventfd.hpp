// An eventfd shared with a client: how interrupts leave the emulator.
#pragma once
#include <sys/eventfd.h>

#include "base/unique_fd.hpp"

namespace vfiolab {

class Eventfd {
 public:
  explicit Eventfd(UniqueFd fd) : fd_(std::move(fd)) {}

  // Adds one to the counter, as eventfd_signal() does (fs/eventfd.c): one more than write() could,
  // where the kernel has asynchronous I/O. Never blocks, whatever the client set its flags to.
  void Signal() const;
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

}  // namespace vfiolab
