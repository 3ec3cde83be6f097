// An eventfd that acts on a device each time a client signals it (virqfd.c).
#pragma once
#include <optional>

#include "machine/environment.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::vfio {

class Virqfd {
 public:
  // EBADF, EINVAL: no eventfd. EBUSY: there is one. ENOMEM: it cannot be watched.
  Result<> Enable(Environment& environment, CallContext& caller, int fd, std::function<void()> act);
  void Disable();

 private:
  std::optional<Eventfd> eventfd_;
  std::unique_ptr<EventfdWatch> watch_;  // goes first
};

}  // namespace vfiolab::vfio
