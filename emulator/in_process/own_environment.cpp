#include "in_process/own_environment.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "process/eventfd_holder.hpp"

namespace vfiolab::in_process {
// Known to the environment as long as it lives.
class OwnEnvironment::Memory final : public DeviceMemory {
 public:
  Memory(OwnEnvironment& all, const std::string& name)
      : all_(all), file_("vfiolab:" + name, Traps::kNowhere) {
    all_.memories_.push_back(&file_);
  }
  ~Memory() override { all_.memories_.remove(&file_); }
  std::span<std::byte> Allocate(u64 offset, u64 size) override {
    return file_.Allocate(offset, size);
  }
  void Trap(u64 offset, u64 size) override { file_.Trap(offset, size); }
  void Move(unsigned from, unsigned to) override { file_.Move(from, to); }
  void SetReachable(bool reachable) override { file_.SetReachable(reachable); }
  int fd() const override { return file_.fd(); }

 private:
  OwnEnvironment& all_;
  BackingFile file_;
};

class OwnEnvironment::Watch final : public EventfdWatch {
 public:
  Watch(OwnEnvironment& all, std::list<Watched>::iterator mine) : all_(all), mine_(mine) {}
  ~Watch() override { all_.watched_.erase(mine_); }
  bool HasClients() override {
    EventfdHolder holder(mine_->fd);
    return holder.CopiesHere() > 1 || holder.Exists();
  }

 private:
  OwnEnvironment& all_;
  std::list<Watched>::iterator mine_;
};

std::unique_ptr<DeviceMemory> OwnEnvironment::CreateDeviceMemory(const std::string& name) {
  return std::make_unique<Memory>(*this, name);
}

std::unique_ptr<EventfdWatch> OwnEnvironment::WatchEventfd(const Eventfd& eventfd,
                                                           std::function<void()> signalled) {
  watched_.push_back({eventfd.fd(), std::move(signalled)});
  return std::make_unique<Watch>(*this, std::prev(watched_.end()));
}

class OwnEnvironment::MappedWatch final : public MemoryWatch {
 public:
  MappedWatch(OwnEnvironment& all, WatchedMemory watched) : all_(all) {
    const std::scoped_lock lock(all.looking_);
    mine_ = all.watched_memory_.insert(all.watched_memory_.end(), std::move(watched));
  }
  ~MappedWatch() override {
    const std::scoped_lock lock(all_.looking_);
    all_.watched_memory_.erase(mine_);
  }

 private:
  OwnEnvironment& all_;
  std::list<WatchedMemory>::iterator mine_;
};

std::unique_ptr<MemoryWatch> OwnEnvironment::WatchMemory(const DeviceMemory& memory,
                                                         std::function<bool()> has_changed) {
  return std::make_unique<MappedWatch>(*this, WatchedMemory{&memory, std::move(has_changed)});
}

void OwnEnvironment::OnMapped(int memory) {
  maps_ = maps_ || std::ranges::any_of(watched_memory_, [&](const WatchedMemory& watched) {
            return watched.memory->fd() == memory;
          });
}

bool OwnEnvironment::MemoryHasChanged() {
  if (!maps_) return false;
  const std::scoped_lock lock(looking_);
  return std::ranges::any_of(watched_memory_,
                             [](const WatchedMemory& watched) { return watched.has_changed(); });
}

void OwnEnvironment::LookAtEventfds(Door& door, Time now) {
  for (auto it = watched_.begin(); it != watched_.end();) {
    const Watched watched = *it++;
    pollfd ready{watched.fd, POLLIN, 0};
    u64 count = 0;
    // The client may have made it one that blocks.
    if (::poll(&ready, 1, 0) == 1 && ::read(watched.fd, &count, sizeof count) == sizeof count)
      door.Event(now, "eventfd signalled by the client", watched.signalled);
  }
}

std::vector<int> OwnEnvironment::WatchedEventfds() const {
  std::vector<int> fds;
  for (const Watched& watched : watched_) fds.push_back(watched.fd);
  return fds;
}

bool OwnEnvironment::IsTrap(int fd, u64 offset) const {
  return std::ranges::any_of(memories_, [&](const BackingFile* memory) {
    return memory->fd() == fd && memory->IsTrap(offset);
  });
}

}  // namespace vfiolab::in_process
