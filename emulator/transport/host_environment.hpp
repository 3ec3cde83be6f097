// The machine's environment on a Linux host: memfds and eventfds.
#pragma once
#include <list>

#include "machine/environment.hpp"
#include "transport/event_loop.hpp"

namespace vfiolab {

class HostEnvironment final : public Environment {
 public:
  // Events arrive through `loop`'s Door; set before the first watch of an eventfd.
  void set_loop(EventLoop& loop);
  // Runs in the loop when memory has changed: more may be to come.
  void set_on_stores(std::function<void()> f) { on_stores_ = std::move(f); }
  // In the loop: whether memory has changed; devices have heard of it.
  bool LookAtMemory();

  std::unique_ptr<DeviceMemory> CreateDeviceMemory(const std::string& name) override;
  std::unique_ptr<EventfdWatch> WatchEventfd(const Eventfd& eventfd,
                                             std::function<void()> signalled) override;
  std::unique_ptr<MemoryWatch> WatchMemory(const DeviceMemory& memory,
                                           std::function<bool()> has_changed) override;

 private:
  class MappedWatch;
  struct WatchedMemory {
    const DeviceMemory* memory;
    std::function<bool()> has_changed;
  };
  void AwaitLook();

  EventLoop* loop_ = nullptr;
  std::list<WatchedMemory> watched_memory_;
  std::optional<boost::asio::steady_timer> look_timer_;
  std::chrono::steady_clock::time_point changed_;
  std::function<void()> on_stores_;
};

}  // namespace vfiolab
