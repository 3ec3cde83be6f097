// What happens in the emulated host while no thread of the client is there: time goes by, eventfds
// are signalled.
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
    std::vector<int> eventfds;
  };
  // Does what is due; in the service's thread, again and again.
  using Step = std::function<Wait()>;

  explicit Service(Step step);

  // Makes it look again, when there may be more to wait for. Wakes nobody who is awake.
  void Wake();

 private:
  [[noreturn]] void Run();

  Step step_;
  UniqueFd wake_;
  std::atomic<bool> asleep_{false};
};

}  // namespace vfiolab::preload
