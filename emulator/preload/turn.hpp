// Whose turn it is on the emulated host.
#pragma once
#include "preload/host.hpp"

namespace vfiolab::preload {

// Whether this thread is at work for the host: then its own calls are the real host's.
inline thread_local int at_work = 0;
struct AtWork {
  AtWork() { ++at_work; }
  ~AtWork() { --at_work; }
};

// One thread at a time has its call made.
class Host::Turn {
 public:
  explicit Turn(Host& host) : host_(host), lock_(host.mutex_) { current = &lock_; }
  ~Turn() {
    host_.TellService();
    current = nullptr;
  }
  inline static thread_local std::unique_lock<std::mutex>* current = nullptr;

 private:
  Host& host_;
  AtWork at_work_;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace vfiolab::preload
