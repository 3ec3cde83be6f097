#include "transport/notifier.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>

#include "transport/memory_call.hpp"
#include "transport/regular_file_call.hpp"
#include "transport/transfer.hpp"

namespace vfiolab {
namespace {

// What is the matter with a listener. POLLHUP: no process is under the filter, and none will be.
short StateOf(int listener) {
  pollfd state{listener, POLLIN, 0};
  return ::poll(&state, 1, 0) == 1 ? state.revents : short{0};
}

// The one that calls and the one that answers take turns on one processor, where the kernel can
// (linux/seccomp.h SECCOMP_IOCTL_NOTIF_SET_FLAGS, Linux 6.6).
void ShareProcessor(int listener) {
  constexpr u64 kSyncWakeUp = 1;  // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
  ::ioctl(listener, _IOW('!', 4, u64), kSyncWakeUp);
}

bool IsSharedMapping(const TrappedCall& call) {
  const u64 type = call.argument(3) & MAP_TYPE;
  return type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
}

void Answer(TrappedCall& call, Reply reply) {
  const Result<long>& value = reply.completion().value;
  value ? call.Return(*value) : call.FailWith(value.error().code);
}

}  // namespace

struct Notifier::Listener {
  boost::asio::posix::stream_descriptor descriptor;
  Listener(boost::asio::io_context& context, int fd) : descriptor(context, fd) {}
  int fd() { return descriptor.native_handle(); }
};

Notifier::Notifier(EventLoop& loop, FileCalls& calls, FuseServer& fuse, CuseServer* cuse,
                   NetlinkFamily* family)
    : loop_(loop), calls_(calls), fuse_(fuse), cuse_(cuse) {
  loop_.Ask([this, family] {
    if (family != nullptr) netlink_ = std::make_unique<NetlinkCalls>(loop_, calls_, *family);
    calls_.AddTaker([this] {
      const auto listener = latest_.lock();
      return listener != nullptr && TakeCall(listener);
    });
  });
}

Notifier::~Notifier() {
  side_.reset();  // uses them
  for (const auto& listener : listeners_) listener->descriptor.close();
}

void Notifier::Add(UniqueFd listener) {
  ShareProcessor(listener.get());
  boost::asio::post(loop_.context(), [this, fd = listener.Release()] {
    listeners_.push_back(std::make_shared<Listener>(loop_.context(), fd));
    Wait(listeners_.back());
  });
}

void Notifier::Wait(const std::shared_ptr<Listener>& listener) {
  listener->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                  [this, listener](const boost::system::error_code& error) {
                                    if (!error) OnReadable(listener);
                                  });
}

void Notifier::OnReadable(const std::shared_ptr<Listener>& listener) {
  if (StateOf(listener->fd()) & POLLHUP) {
    listeners_.remove(listener);
    return;
  }
  // Waits again first: this thread may be lost to the call that it now takes up.
  Wait(listener);
  if (TakeCall(listener)) calls_.StayAwake();
}

bool Notifier::TakeCall(const std::shared_ptr<Listener>& listener) {
  // To receive where there is nothing would wait.
  if (!(StateOf(listener->fd()) & POLLIN)) return false;
  // No call may overtake a release that its client was told had happened. Where that means to wait
  // for another client, another thread takes this call up.
  fuse_.Drain();
  if (Turn::lost()) return false;
  seccomp_notif call{};  // the kernel refuses a buffer that is not all zero
  if (::ioctl(listener->fd(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) return false;  // it is gone
  latest_ = listener;
  FindFile(std::make_shared<TrappedCall>(listener->fd(), listener, call));
  return true;
}

void Notifier::FindFile(const Call& call) {
  const Turn::Call under_way(loop_.turn(), call);
  if (loop_.machine().hears_unmaps()) TellOfMemory(loop_, calls_.services(), *call);
  if (std::ranges::count(kUnmappingCalls, call->number()) != 0 || call->number() == SYS_madvise)
    return call->Continue();
  if (FindFile(call, call->descriptor())) return;
  const auto target = call->target();
  if (!target || !FindFile(call, *target)) call->Continue();
}

bool Notifier::FindFile(const Call& call, int descriptor) {
  const auto found = [&] {
    const Turn::ClientAccess access(loop_.turn(), call->tid());  // of any file system
    return StatDescriptor(call->tid(), descriptor);
  }();
  if (!found) return false;
  if (S_ISSOCK(found->stx_mode)) return netlink_ != nullptr && netlink_->Take(call, *found);
  if (IsOfSocketsAlone(call->number())) return false;
  if (fuse_.Owns(*found)) {
    const auto file = fuse_.Find(call->tid(), descriptor, *found);
    // What is copied from or to a regular file depends on the other one.
    if (file && *file && (*file)->is_regular() && call->target()) return false;
    call->set_found(descriptor);
    Handle(call, file ? *file : nullptr);
    return true;
  }
  if (cuse_ == nullptr || !cuse_->Owns(*found)) return false;
  call->set_found(descriptor);
  side_->Post([this, call, descriptor, found = *found] {
    const u64 handle = cuse_->Ask(call->tid(), descriptor, found);
    boost::asio::post(loop_.context(), [this, call, handle] {
      fuse_.Drain();
      const Turn::Call answered(loop_.turn(), call);
      if (call->waits()) Handle(call, calls_.Find(handle));
    });
  });
  return true;
}

void Notifier::Handle(const Call& call, const File& file) {
  if (file == nullptr) return call->Continue();
  calls_.OnCall(call->tid());
  const int number = call->number();
  if (Transfer::Is(*call) && !file->is_regular()) return Transfer::Start(loop_, calls_, call, file);
  if (IsPathOnly(call->tid(), call->found())) return call->Continue();
  if (number == SYS_ioctl) return HandleIoctl(call, *file);
  if (number == SYS_mmap) return HandleMmap(call, *file);
  if (file->is_regular()) return call->Continue();
  if (number == SYS_lseek) return HandleSeek(call, *file);
  AnswerRegularFileCall(calls_.services(), *call, *file);
}

void Notifier::HandleIoctl(const Call& call, OpenFile& file) {
  const auto command = static_cast<u32>(call->argument(1));
  const bool asks_regular_file = std::ranges::count(kRegularFileIoctls, command) != 0;
  if (std::ranges::count(kGenericIoctls, command) != 0 || (asks_regular_file && file.is_regular()))
    return call->Continue();
  if (command == FIOQSIZE) return call->FailWith(ENOTTY);  // fs/ioctl.c, of all but regular files
  Caller caller(calls_.services(), call->tid(), call->is_32_bit());
  Reply reply = loop_.door().Ioctl(loop_.Now(), caller, file, command, call->argument(2));
  if (reply.deferred()) return call->FailWith(EAGAIN);  // none of these ioctls waits
  Completion& completion = reply.completion();
  if (!completion.value || !completion.opened) return Answer(*call, std::move(reply));
  const int flags = completion.open_flags;
  const std::string offer = fuse_.Offer(std::move(completion.opened));
  side_->Post([this, call, offer, flags] { Install(call, offer, flags); });
}

void Notifier::Install(const Call& call, const std::string& offer, int flags) {
  const std::string path =
      fmt::format("{}/{}/{}", fuse_.mount_point(), FuseServer::kHandover, offer);
  UniqueFd fd(::open(path.c_str(), (flags & O_ACCMODE) | O_CLOEXEC));
  if (fd) return call->ReturnDescriptor(std::move(fd), flags);
  const int error = errno;
  boost::asio::post(loop_.context(), [this, offer] { fuse_.Withdraw(offer); });
  call->FailWith(error);
}

void Notifier::HandleMmap(const Call& call, OpenFile& file) {
  const auto moved = moved_.extract(call->tid());
  if (moved && moved.mapped() == call->argument(5)) return call->Continue();
  const bool shared = IsSharedMapping(*call);
  const bool writes = shared && (call->argument(2) & PROT_WRITE) != 0;
  if (!call->OpenedFor(call->descriptor(), true, writes)) return call->Continue();
  const u64 pages = (call->argument(1) + kPageSize - 1) & ~(kPageSize - 1);
  const MmapRequest request{
      .offset = call->argument(5), .length = pages, .shared = shared, .writes = writes};
  Caller caller(calls_.services(), call->tid());
  const Result<u64> begins = loop_.door().Mmap(loop_.Now(), caller, file, request);
  if (!begins)
    call->FailWith(begins.error().code);
  else if (*begins == request.offset)
    call->Continue();
  else
    MoveMapping(call, *begins);
}

void Notifier::MoveMapping(const Call& call, u64 offset) {
  if (!AskToMoveMapping(call->tid(), offset)) return call->FailWith(EINVAL);
  moved_[call->tid()] = offset;
  call->MakeAgain();
}

void Notifier::HandleSeek(const Call& call, OpenFile& file) {
  Caller caller(calls_.services(), call->tid());
  Answer(*call, loop_.door().Seek(loop_.Now(), caller, file, static_cast<off_t>(call->argument(1)),
                                  static_cast<int>(call->argument(2))));
}

}  // namespace vfiolab
