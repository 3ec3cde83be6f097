// The machine's environment where its clients are this process: nothing waits, eventfds are looked
// at when somebody says so.
#pragma once
#include <atomic>
#include <list>
#include <mutex>
#include <vector>

#include "host_memory/backing_file.hpp"
#include "machine/door.hpp"

namespace vfiolab::in_process {

class OwnEnvironment final : public Environment {
 public:
  std::unique_ptr<DeviceMemory> CreateDeviceMemory(const std::string& name) override;
  std::unique_ptr<EventfdWatch> WatchEventfd(const Eventfd& eventfd,
                                             std::function<void()> signalled) override;
  std::unique_ptr<MemoryWatch> WatchMemory(const DeviceMemory& memory,
                                           std::function<bool()> has_changed) override;

  // Lets the machine know of eventfds that were signalled.
  void LookAtEventfds(Door& door, Time now);
  bool watches() const { return !watched_.empty(); }
  std::size_t watch_count() const { return watched_.size(); }
  std::vector<int> WatchedEventfds() const;
  // A client has mapped `memory`; nobody has memory mapped any more.
  void OnMapped(int memory);
  void OnAllUnmapped() { maps_ = false; }
  // Whether somebody has memory mapped that is to be looked at; from any thread, whether it has
  // changed.
  bool maps_watched_memory() const { return maps_; }
  bool MemoryHasChanged();
  // Whether accesses there, in the device's memory behind `fd`, are to trap.
  bool IsTrap(int fd, u64 offset) const;

 private:
  class Memory;
  class Watch;
  class MappedWatch;
  struct WatchedMemory {
    const DeviceMemory* memory;
    std::function<bool()> has_changed;
  };
  struct Watched {
    int fd;
    std::function<void()> signalled;
  };
  std::list<Watched> watched_;
  std::list<const BackingFile*> memories_;
  std::mutex looking_;
  std::list<WatchedMemory> watched_memory_;  // changes only with looking_
  std::atomic<bool> maps_{false};
};

}  // namespace vfiolab::in_process
