#include "vfio/virqfd.hpp"

namespace vfiolab::vfio {

void Virqfd::Disable() {
  watch_.reset();
  eventfd_.reset();
}

Result<> Virqfd::Enable(Environment& environment, CallContext& caller, int fd,
                        std::function<void()> act) {
  Eventfd eventfd = TRY(caller.ImportEventfd(fd));
  // One that nobody has open any more has left its place (virqfd_wakeup, EPOLLHUP).
  if (watch_ && watch_->HasClients()) return Fail(EBUSY, "there is an eventfd for this already");
  watch_.reset();
  eventfd_.emplace(std::move(eventfd));
  watch_ = environment.WatchEventfd(*eventfd_, std::move(act));
  if (watch_ != nullptr) return {};
  eventfd_.reset();
  return Fail(ENOMEM, "no descriptor is left to watch the eventfd with");
}

}  // namespace vfiolab::vfio
