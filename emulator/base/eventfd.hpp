// An eventfd shared with a client: how interrupts leave the emulator.
#pragma once
#include <sys/eventfd.h>

#include "base/unique_fd.hpp"

namespace vfiolab {

class Eventfd {
 public:
  explicit Eventfd(UniqueFd fd) : fd_(std::move(fd)) {}

  // Adds one to the counter, as the kernel's eventfd_signal() does: a counter about to overflow
  // stays as it is. Never blocks, whatever the client set its flags to.
  void Signal() const;
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

}  // namespace vfiolab
