// The machine's environment on a Linux host: memfds and eventfds.
#pragma once
#include "machine/environment.hpp"
#include "transport/event_loop.hpp"

namespace vfiolab {

class HostEnvironment final : public Environment {
 public:
  // Events arrive through `loop`'s Door; set before the first watch.
  void set_loop(EventLoop& loop) { loop_ = &loop; }

  std::unique_ptr<DeviceMemory> CreateDeviceMemory(const std::string& name) override;
  std::unique_ptr<EventfdWatch> WatchEventfd(const Eventfd& eventfd,
                                             std::function<void()> signalled) override;

 private:
  EventLoop* loop_ = nullptr;
};

}  // namespace vfiolab
