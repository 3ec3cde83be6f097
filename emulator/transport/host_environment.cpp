#include "transport/host_environment.hpp"

#include <fcntl.h>

#include <algorithm>

#include "base/check.hpp"
#include "host_memory/backing_file.hpp"
#include "process/eventfd_holder.hpp"

namespace vfiolab {
namespace {

// Lives on while the loop holds a wait that was cancelled.
struct WatchState : std::enable_shared_from_this<WatchState> {
  WatchState(EventLoop& on, std::function<void()> then)
      : loop(on), descriptor(on.context()), signalled(std::move(then)) {}

  // False when there is no room for one more.
  bool Take(UniqueFd fd) {
    boost::system::error_code error;
    descriptor.assign(fd.get(), error);
    if (error) return false;
    fd.Release();
    return true;
  }

  void Wait() {
    descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& error) {
                            if (!error && self->watched) self->OnReadable();
                          });
  }
  void OnReadable() {
    u64 count = 0;
    const ssize_t read = ::read(descriptor.native_handle(), &count, sizeof count);
    if (read == sizeof count)
      loop.door().Event(loop.Now(), "eventfd signalled by the client", signalled);
    if (watched && (read > 0 || errno == EAGAIN)) Wait();
  }

  EventLoop& loop;
  boost::asio::posix::stream_descriptor descriptor;
  std::function<void()> signalled;
  bool watched = true;
};

class Watch final : public EventfdWatch {
 public:
  explicit Watch(std::shared_ptr<WatchState> state)
      : state_(std::move(state)), holder_(state_->descriptor.native_handle()) {
    state_->Wait();
  }
  ~Watch() override {
    state_->watched = false;
    boost::system::error_code ignored;
    state_->descriptor.cancel(ignored);
  }
  bool HasClients() override { return holder_.Exists(); }

 private:
  std::shared_ptr<WatchState> state_;
  EventfdHolder holder_;
};

}  // namespace

class HostEnvironment::MappedWatch final : public MemoryWatch {
 public:
  MappedWatch(HostEnvironment& all, WatchedMemory watched)
      : all_(all),
        mine_(all.watched_memory_.insert(all.watched_memory_.end(), std::move(watched))) {}
  ~MappedWatch() override { all_.watched_memory_.erase(mine_); }

 private:
  HostEnvironment& all_;
  std::list<WatchedMemory>::iterator mine_;
};

void HostEnvironment::set_loop(EventLoop& loop) {
  loop_ = &loop;
  look_timer_.emplace(loop.context());
  if (!watched_memory_.empty()) AwaitLook();
}

bool HostEnvironment::LookAtMemory() {
  if (std::ranges::none_of(watched_memory_,
                           [](const WatchedMemory& watched) { return watched.has_changed(); }))
    return false;
  loop_->door().Tick(loop_->Now());
  changed_ = std::chrono::steady_clock::now();
  return true;
}

// Nothing tells of a store. Where it is one of many it is soon seen; an emulator that nobody uses
// costs nothing worth mentioning.
void HostEnvironment::AwaitLook() {
  using namespace std::chrono_literals;
  constexpr std::chrono::microseconds kOften = 50us, kRarely = 1ms, kUnused = 10ms;
  const bool lately = std::chrono::steady_clock::now() - changed_ < 1s;
  const bool used =
      lately || std::ranges::any_of(watched_memory_, [](const WatchedMemory& watched) {
        return BackingFile::IsInUse(watched.memory->fd());
      });
  look_timer_->expires_after(lately ? kOften : used ? kRarely : kUnused);
  look_timer_->async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    AwaitLook();  // first: this thread may be lost to what it now takes up
    if (LookAtMemory() && on_stores_) on_stores_();
  });
}

std::unique_ptr<DeviceMemory> HostEnvironment::CreateDeviceMemory(const std::string& name) {
  return std::make_unique<BackingFile>("vfiolab:" + name);
}

std::unique_ptr<MemoryWatch> HostEnvironment::WatchMemory(const DeviceMemory& memory,
                                                          std::function<bool()> has_changed) {
  const bool first = watched_memory_.empty();
  auto watch = std::make_unique<MappedWatch>(*this, WatchedMemory{&memory, std::move(has_changed)});
  if (first && look_timer_) AwaitLook();
  return watch;
}

std::unique_ptr<EventfdWatch> HostEnvironment::WatchEventfd(const Eventfd& eventfd,
                                                            std::function<void()> signalled) {
  CHECK_OURS(loop_ != nullptr);
  UniqueFd copy(::fcntl(eventfd.fd(), F_DUPFD_CLOEXEC, 0));
  auto state = std::make_shared<WatchState>(*loop_, std::move(signalled));
  if (!copy || !state->Take(std::move(copy))) return nullptr;
  return std::make_unique<Watch>(std::move(state));
}

}  // namespace vfiolab
