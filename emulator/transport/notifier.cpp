#include "transport/notifier.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <atomic>

namespace vfiolab {

namespace {

// No process is under the filter any more, and none will be.
bool IsOver(int listener) {
  pollfd state{listener, 0, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) != 0;
}

}  // namespace

struct Notifier::Listener {
  boost::asio::posix::stream_descriptor descriptor;
  Listener(boost::asio::io_context& context, int fd) : descriptor(context, fd) {}
  int fd() { return descriptor.native_handle(); }
};

// One trapped call; answered once, whoever comes first.
class Notifier::Ticket {
 public:
  Ticket(std::shared_ptr<Listener> listener, const seccomp_notif& call)
      : listener_(std::move(listener)), call_(call) {}

  const seccomp_notif& call() const { return call_; }
  pid_t tid() const { return static_cast<pid_t>(call_.pid); }
  u64 argument(unsigned i) const { return call_.data.args[i]; }

  // The kernel goes on with the call as if it had not been trapped.
  void Continue() { Respond(0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE); }
  void Return(long value) { Respond(value, 0, 0); }
  void FailWith(int code) { Respond(0, -code, 0); }
  // Installs `fd` in the caller as the result of the call. Our copy is closed before the caller
  // goes on: when it closes its own, nothing must keep the file open.
  void ReturnDescriptor(UniqueFd fd, int flags) {
    seccomp_notif_addfd add{};
    add.id = call_.id;
    add.srcfd = static_cast<u32>(fd.get());
    add.newfd_flags = static_cast<u32>(flags & O_CLOEXEC);
    const int installed = ::ioctl(listener_->fd(), SECCOMP_IOCTL_NOTIF_ADDFD, &add);
    const int error = errno;
    fd.Reset();
    if (installed >= 0)
      Return(installed);
    else
      FailWith(error);  // EMFILE: the caller has too many; ENOENT: it is gone
  }

  // The caller's descriptor that the call is about.
  int descriptor() const { return static_cast<int>(argument(call_.data.nr == SYS_mmap ? 4 : 0)); }
  std::string DescriptorPath() const { return fmt::format("/proc/{}/fd/{}", tid(), descriptor()); }
  // Of a call of mmap:
  bool SharedMapping() const {
    const u64 type = argument(3) & MAP_TYPE;
    return type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
  }
  // Whether the descriptor was opened for what the call does: the kernel asks that before it asks
  // the file. The link's own mode says how it was opened.
  bool OpenedFor(bool reads, bool writes) const {
    struct stat link {};
    if (::lstat(DescriptorPath().c_str(), &link) != 0) return false;
    return (!reads || (link.st_mode & S_IRUSR) != 0) && (!writes || (link.st_mode & S_IWUSR) != 0);
  }

 private:
  void Respond(long value, int error, u32 flags) {
    if (answered_.exchange(true)) return;
    seccomp_notif_resp response{};
    response.id = call_.id;
    response.val = value;
    response.error = error;
    response.flags = flags;
    ::ioctl(listener_->fd(), SECCOMP_IOCTL_NOTIF_SEND, &response);
  }

  std::shared_ptr<Listener> listener_;
  seccomp_notif call_;
  std::atomic<bool> answered_{false};
};

Notifier::Notifier(EventLoop& loop, FileCalls& calls, FuseServer& fuse, CuseServer* cuse)
    : loop_(loop),
      calls_(calls),
      fuse_(fuse),
      cuse_(cuse),
      keep_(boost::asio::make_work_guard(context_)),
      thread_([this] { context_.run(); }) {}

Notifier::~Notifier() {
  context_.stop();
  thread_.join();
}

void Notifier::Add(UniqueFd listener) {
  boost::asio::post(context_, [this, fd = listener.Release()] {
    Wait(std::make_shared<Listener>(context_, fd));
  });
}

void Notifier::Wait(const std::shared_ptr<Listener>& listener) {
  listener->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                  [this, listener](const boost::system::error_code& error) {
                                    if (!error) OnReadable(listener);
                                  });
}

void Notifier::OnReadable(const std::shared_ptr<Listener>& listener) {
  // The kernel refuses a buffer that is not all zero.
  seccomp_notif call{};
  if (::ioctl(listener->fd(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
    // EINTR, ENOENT: that caller is gone. It may have been the last one under the filter.
    if ((errno == EINTR || errno == ENOENT) && !IsOver(listener->fd())) Wait(listener);
    return;
  }
  Wait(listener);
  auto ticket = std::make_shared<Ticket>(listener, call);
  if (call.data.nr == SYS_ioctl)
    HandleIoctl(ticket);
  else if (call.data.nr == SYS_mmap)
    HandleMmap(ticket);
  else
    HandleMove(ticket);
}

Notifier::Target Notifier::TargetOf(const Ticket& ticket) const {
  const auto found = StatDescriptor(ticket.tid(), ticket.descriptor());
  if (!found) return {};
  if (fuse_.Owns(*found)) return [this, found] { return fuse_.FindOpenFile(found->stx_ino); };
  if (cuse_ == nullptr || !cuse_->Owns(*found)) return {};
  const u64 handle = cuse_->Ask(ticket.tid(), ticket.descriptor());
  return [this, handle] { return calls_.Find(handle); };
}

void Notifier::HandleIoctl(const std::shared_ptr<Ticket>& ticket) {
  Target target = TargetOf(*ticket);
  if (!target) return ticket->Continue();
  boost::asio::post(loop_.context(), [this, ticket, target] {
    fuse_.Drain();
    const auto file = target();
    if (!file) return ticket->Continue();
    loop_.turn().SetOnCutOff([ticket] { ticket->FailWith(EFAULT); });
    Caller caller(calls_.services(), ticket->tid());
    Reply reply = loop_.door().Ioctl(loop_.Now(), caller, *file,
                                     static_cast<u32>(ticket->argument(1)), ticket->argument(2));
    if (reply.deferred()) return ticket->FailWith(EAGAIN);  // none of these ioctls waits
    Completion& completion = reply.completion();
    if (!completion.value) return ticket->FailWith(completion.value.error().code);
    if (!completion.opened) return ticket->Return(*completion.value);
    const int flags = completion.open_flags;
    const std::string offer = fuse_.Offer(std::move(completion.opened));
    boost::asio::post(context_, [=, this] { Install(ticket, offer, flags); });
  });
}

void Notifier::Install(const std::shared_ptr<Ticket>& ticket, const std::string& offer, int flags) {
  const std::string path =
      fmt::format("{}/{}/{}", fuse_.mount_point(), FuseServer::kHandover, offer);
  UniqueFd fd(::open(path.c_str(), (flags & O_ACCMODE) | O_CLOEXEC));
  if (fd) return ticket->ReturnDescriptor(std::move(fd), flags);
  const int error = errno;
  boost::asio::post(loop_.context(), [this, offer] { fuse_.Withdraw(offer); });
  ticket->FailWith(error);
}

void Notifier::HandleMmap(const std::shared_ptr<Ticket>& ticket) {
  const bool writes = ticket->SharedMapping() && (ticket->argument(2) & PROT_WRITE) != 0;
  if (!ticket->OpenedFor(true, writes)) return ticket->Continue();
  Target target = TargetOf(*ticket);
  if (!target) return ticket->Continue();
  boost::asio::post(loop_.context(), [this, ticket, target] {
    fuse_.Drain();
    const auto file = target();
    if (!file) return ticket->Continue();
    const u64 pages = (ticket->argument(1) + kPageSize - 1) & ~(kPageSize - 1);
    const MmapRequest request{
        .offset = ticket->argument(5), .length = pages, .shared = ticket->SharedMapping()};
    Caller caller(calls_.services(), ticket->tid());
    const Result<> allowed = loop_.door().Mmap(loop_.Now(), caller, *file, request);
    if (allowed)
      ticket->Continue();
    else
      ticket->FailWith(allowed.error().code);
  });
}

void Notifier::HandleMove(const std::shared_ptr<Ticket>& ticket) {
  const int number = ticket->call().data.nr;
  const bool reads = number == SYS_read || number == SYS_pread64;
  const bool writes = number == SYS_write || number == SYS_pwrite64;
  Target target = TargetOf(*ticket);
  if (!target || !ticket->OpenedFor(reads, writes)) return ticket->Continue();
  boost::asio::post(loop_.context(), [=, this] {
    fuse_.Drain();
    const auto file = target();
    if (!file || file->is_regular()) return ticket->Continue();
    const bool positioned = number == SYS_pread64 || number == SYS_pwrite64;
    if (positioned && (!file->takes_offsets() || static_cast<off_t>(ticket->argument(3)) < 0))
      return ticket->Continue();  // the kernel refuses it
    Caller caller(calls_.services(), ticket->tid());
    Door& door = loop_.door();
    Reply reply = reads    ? door.Read(loop_.Now(), caller, *file, {}, 0)
                  : writes ? door.Write(loop_.Now(), caller, *file, {}, 0)
                           : door.Seek(loop_.Now(), caller, *file,
                                       static_cast<off_t>(ticket->argument(1)),
                                       static_cast<int>(ticket->argument(2)));
    const Result<long>& value = reply.completion().value;
    value ? ticket->Return(*value) : ticket->FailWith(value.error().code);
  });
}

}  // namespace vfiolab
