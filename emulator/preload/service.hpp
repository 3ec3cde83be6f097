// What happens in the emulated host while no thread of the client is there: time goes by, eventfds
// are signalled, other processes call.
#pragma once
#include <poll.h>

#include <atomic>
#include <chrono>
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
    bool looks = false;  // at memory
  };
  // Does what is due, and what has come to the descriptors that are `ready`; in the service's
  // thread, again and again.
  using Step = std::function<Wait(const std::vector<int>& ready)>;

  // Looks at memory, as nobody wakes the service for that.
  enum class Seen {
    kNothing,
    kStores,  // their devices have heard of them
    kDue,     // the same, and now a step is due
  };
  using Look = std::function<Seen()>;

  // In a thread of its own, for ever.
  Service(Step step, Look look);
  // In this one, as long as `goes_on`.
  Service(Step step, Look look, const std::function<bool()>& goes_on);

  // Makes it look again, when there may be more to wait for. Wakes nobody who is awake.
  void Wake();

 private:
  void Run(const std::function<bool()>& goes_on);
  // Until something has come to one of the descriptors, the time is over, or memory has changed.
  void Await(const Wait& wait, std::vector<pollfd>& states, bool has_come);
  Seen LookAwhile();

  Step step_;
  Look look_;
  bool looks_ = false;
  std::chrono::steady_clock::time_point changed_;  // when memory had changed
  UniqueFd wake_;
  std::atomic<bool> asleep_{false};
};

}  // namespace vfiolab::preload
