// A world around the machine that does nothing by itself: memory on the heap, and eventfds that are
// looked at when a test says so.
#pragma once
#include <list>

#include "machine/heap_memory.hpp"

namespace vfiolab::test {

class FakeEnvironment final : public Environment {
 public:
  // What DeviceMemory::fd() says; nobody uses it as a descriptor.
  int memory_fd = 1000;
  // What EventfdWatch::HasClients() says.
  bool clients_have_eventfds = true;

  std::unique_ptr<DeviceMemory> CreateDeviceMemory(const std::string&) override {
    return std::make_unique<HeapMemory>(memory_fd);
  }
  std::unique_ptr<EventfdWatch> WatchEventfd(const Eventfd& eventfd,
                                             std::function<void()> signalled) override {
    watched_.push_back({eventfd.fd(), std::move(signalled)});
    return std::make_unique<Watch>(*this, std::prev(watched_.end()));
  }
  // Nobody maps heap memory: who stores there goes through the Door himself.
  std::unique_ptr<MemoryWatch> WatchMemory(const DeviceMemory&, std::function<bool()>) override {
    return nullptr;
  }
  std::size_t watches() const { return watched_.size(); }

  // Calls `event` with what to do for each watched eventfd that was signalled.
  template <class F>
  void LookAtEventfds(F&& event) {
    for (auto it = watched_.begin(); it != watched_.end();) {
      const Watched watched = *it++;
      u64 count = 0;
      if (::read(watched.fd, &count, sizeof count) == sizeof count) event(watched.signalled);
    }
  }

 private:
  struct Watched {
    int fd;
    std::function<void()> signalled;
  };
  class Watch final : public EventfdWatch {
   public:
    Watch(FakeEnvironment& all, std::list<Watched>::iterator mine) : all_(all), mine_(mine) {}
    ~Watch() override { all_.watched_.erase(mine_); }
    bool HasClients() override { return all_.clients_have_eventfds; }

   private:
    FakeEnvironment& all_;
    std::list<Watched>::iterator mine_;
  };

  std::list<Watched> watched_;
};

}  // namespace vfiolab::test
