// What happens in the emulated host while no thread of the client is there: time goes by, eventfds
// are signalled, other processes call.
#pragma once
#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/unique_fd.hpp"

namespace vfiolab::preload {

class Service {
 public:
  // What it waits for.
  struct Wait {
    std::optional<Time> left;  // until something is due
    std::vector<int> fds;
  };
  // Does what is due, and what has come to the descriptors that are `ready`; in the service's
  // thread, again and again.
  using Step = std::function<Wait(const std::vector<int>& ready)>;

  // In a thread of its own, for ever.
  explicit Service(Step step);
  // In this one, as long as `goes_on`.
  Service(Step step, const std::function<bool()>& goes_on);

  // Makes it look again, when there may be more to wait for. Wakes nobody who is awake.
  void Wake();

 private:
  void Run(const std::function<bool()>& goes_on);

  Step step_;
  UniqueFd wake_;
  std::atomic<bool> asleep_{false};
};

}  // namespace vfiolab::preload
