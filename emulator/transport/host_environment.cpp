#include "transport/host_environment.hpp"

#include <fcntl.h>

#include "base/check.hpp"
#include "process/eventfd_holder.hpp"
#include "host_memory/backing_file.hpp"

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

std::unique_ptr<DeviceMemory> HostEnvironment::CreateDeviceMemory(const std::string& name) {
  return std::make_unique<BackingFile>("vfiolab:" + name);
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
