// The machine's environment where its clients are this process: nothing waits, eventfds are looked
// at when somebody says so.
#pragma once
#include <list>
#include <vector>

#include "host_memory/backing_file.hpp"
#include "machine/door.hpp"

namespace vfiolab::in_process {

class OwnEnvironment final : public Environment {
 public:
  std::unique_ptr<DeviceMemory> CreateDeviceMemory(const std::string& name) override;
  std::unique_ptr<EventfdWatch> WatchEventfd(const Eventfd& eventfd,
                                             std::function<void()> signalled) override;

  // Lets the machine know of eventfds that were signalled.
  void LookAtEventfds(Door& door, Time now);
  bool watches() const { return !watched_.empty(); }
  std::size_t watch_count() const { return watched_.size(); }
  std::vector<int> WatchedEventfds() const;
  // Whether accesses there, in the device's memory behind `fd`, are to trap.
  bool IsTrap(int fd, u64 offset) const;

 private:
  class Memory;
  class Watch;
  struct Watched {
    int fd;
    std::function<void()> signalled;
  };
  std::list<Watched> watched_;
  std::list<const BackingFile*> memories_;
};

}  // namespace vfiolab::in_process
