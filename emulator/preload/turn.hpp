// Whose turn it is on the emulated host.
#pragma once
#include "preload/host.hpp"

namespace vfiolab::preload {

// Whether this thread is at work for the host: then its own calls are the real host's.
inline thread_local int at_work = 0;
// Whether it only waits meanwhile, and has nothing that others may want.
inline thread_local bool only_waits = false;
// Whether signals of it wait until it has done its work (signals.cpp).
inline thread_local bool has_put_off = false;
void TakeSignalsPutOff();

struct AtWork {
  AtWork() { ++at_work; }
  ~AtWork() {
    if (--at_work == 0 && has_put_off) TakeSignalsPutOff();
  }
};

// One thread at a time has its call made.
class Host::Turn {
 public:
  explicit Turn(Host& host) : host_(host), lock_(host.mutex_) {
    current = &lock_;
    if (!host_.guests_.lent().empty() && !host_.handed_over_) host_.guests_.ReleaseReturned();
  }
  ~Turn() {
    host_.TellService();
    current = nullptr;
  }
  inline static thread_local std::unique_lock<std::mutex>* current = nullptr;

  // Others have their turn while `wait` runs, and handlers of signals may make calls.
  static void Aside(const std::function<void()>& wait) {
    current->unlock();
    only_waits = true;
    wait();
    only_waits = false;
    current->lock();
  }

  // Around a handler of a signal that came while this thread only waited.
  class Nested {
   public:
    Nested()
        : current_(std::exchange(current, nullptr)),
          at_work_(std::exchange(at_work, 0)),
          waits_(std::exchange(only_waits, false)) {}
    ~Nested() { current = current_, at_work = at_work_, only_waits = waits_; }

   private:
    std::unique_lock<std::mutex>* current_;
    int at_work_;
    bool waits_;
  };

 private:
  Host& host_;
  AtWork at_work_;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace vfiolab::preload
