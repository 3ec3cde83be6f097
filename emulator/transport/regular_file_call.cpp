#include "transport/regular_file_call.hpp"

#include <linux/falloc.h>
#include <sys/epoll.h>

namespace vfiolab {
namespace {

constexpr u32 kWriteZeroes = 0x80;  // FALLOC_FL_WRITE_ZEROES, Linux 6.17

bool IsRegularMode(u32 mode) {
  constexpr u32 kKeep = FALLOC_FL_KEEP_SIZE;
  switch (mode & ~kKeep) {
    case 0:
    case FALLOC_FL_UNSHARE_RANGE:
    case FALLOC_FL_ZERO_RANGE:
      return true;
    case FALLOC_FL_PUNCH_HOLE:
      return (mode & kKeep) != 0;
    case FALLOC_FL_COLLAPSE_RANGE:
    case FALLOC_FL_INSERT_RANGE:
    case kWriteZeroes:
      return (mode & kKeep) == 0;
    default:
      return false;
  }
}

// fs/open.c vfs_fallocate: ENODEV, once the range, the mode and the descriptor are right.
void AnswerFallocate(TrappedCall& call) {
  const auto from = static_cast<off_t>(call.argument(2)),
             size = static_cast<off_t>(call.argument(3));
  const bool right = from >= 0 && size > 0 && IsRegularMode(call.argument32(1)) &&
                     call.OpenedFor(call.descriptor(), false, true);
  right ? call.FailWith(ENODEV) : call.Continue();
}

// Whether a client has so many bytes there.
template <class T>
bool HasAt(CallerServices& services, const TrappedCall& call, u64 address) {
  Caller caller(services, call.tid());
  CallContext& context = caller;
  T value{};
  return static_cast<bool>(
      context.memory().Read(ClientAddress{address}, std::as_writable_bytes(std::span{&value, 1})));
}

Result<struct statx> StatOther(CallerServices& services, const TrappedCall& call, int descriptor) {
  const Turn::ClientAccess access(services.turn, call.tid());
  return StatDescriptor(call.tid(), descriptor);
}

// fs/eventpoll.c do_epoll_ctl: EPERM of a file without poll, once the event has been copied and
// both descriptors are open.
void AnswerEpoll(CallerServices& services, TrappedCall& call) {
  if (call.argument32(1) != EPOLL_CTL_DEL && !HasAt<epoll_event>(services, call, call.argument(3)))
    return call.Continue();
  StatOther(services, call, static_cast<int>(call.argument(0))) ? call.FailWith(EPERM)
                                                                : call.Continue();
}

// A copy between descriptors, of which one is ours.
class Copy {
 public:
  Copy(CallerServices& services, TrappedCall& call) : services_(services), call_(call) {}

  // fs/read_write.c do_sendfile: EINVAL, unless there is nothing to move.
  void AnswerSendfile() {
    if (!HasOffset(2) || !IsOpened()) return call_.Continue();
    const u64 count = call_.argument(3);
    const bool nothing = to_us() ? count == 0 || IsAtEnd() : count == 0 && OtherIsPipe();
    nothing ? call_.Continue() : call_.FailWith(EINVAL);
  }

  // fs/splice.c do_splice: EINVAL of a file without splice_read and splice_write.
  void AnswerSplice() {
    const u64 offset_of_other = call_.argument(to_us() ? 1 : 3);
    const bool refused = call_.argument(4) == 0 || (OtherIsPipe() && offset_of_other != 0) ||
                         !HasOffset(1) || !HasOffset(3) || !IsOpened();
    refused ? call_.Continue() : call_.FailWith(EINVAL);
  }

  // fs/read_write.c generic_file_rw_checks asks for the types before it asks how they were opened.
  void AnswerCopyFileRange() {
    const auto other = StatOther(services_, call_, Other());
    const bool refused = !other || IsPathOnly(call_.tid(), Other()) || S_ISDIR(other->stx_mode) ||
                         !HasOffset(1) || !HasOffset(3);
    refused ? call_.Continue() : call_.FailWith(EINVAL);
  }

 private:
  bool to_us() const { return call_.found() != call_.descriptor(); }
  int Other() const { return to_us() ? call_.descriptor() : *call_.target(); }
  bool HasOffset(unsigned i) const {
    return call_.argument(i) == 0 || HasAt<loff_t>(services_, call_, call_.argument(i));
  }
  bool IsOpened() const {
    return call_.OpenedFor(call_.descriptor(), true, false) &&
           call_.OpenedFor(*call_.target(), false, true);
  }
  bool OtherIsPipe() const {
    const auto other = StatOther(services_, call_, Other());
    return other && S_ISFIFO(other->stx_mode);
  }
  // Whether a regular file has no more to give.
  bool IsAtEnd() const {
    const auto other = StatOther(services_, call_, Other());
    if (!other || !S_ISREG(other->stx_mode)) return false;
    u64 position = 0;
    if (call_.argument(2) == 0) {
      const auto info = InfoOfDescriptor(call_.tid(), Other());
      position = info ? info->position : 0;
    } else {
      Caller caller(services_, call_.tid());
      CallContext& context = caller;
      context.memory()
          .Read(ClientAddress{call_.argument(2)}, std::as_writable_bytes(std::span{&position, 1}))
          .IgnoreError();
    }
    return position >= other->stx_size;
  }

  CallerServices& services_;
  TrappedCall& call_;
};

// fs/fcntl.c. A file that an ioctl has opened is without O_LARGEFILE, which open() adds.
void AnswerFcntl(TrappedCall& call, const OpenFile& file) {
  const u32 command = call.argument32(1);
  if (command == F_SETLEASE || (command == F_SETFL && (call.argument(2) & O_DIRECT) != 0))
    return call.FailWith(EINVAL);
  const auto info = InfoOfDescriptor(call.tid(), call.descriptor());
  if (command != F_GETFL || !info || file.has_node()) return call.Continue();
  constexpr int kLargeFile = 0100000;  // O_LARGEFILE, which is 0 in 64-bit programs
  call.Return(info->flags & ~kLargeFile);
}

// fs/sync.c sync_file_range: ESPIPE, once the range and the flags are right.
void AnswerSyncRange(TrappedCall& call) {
  constexpr u32 kFlags =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  const auto from = static_cast<off_t>(call.argument(1)),
             size = static_cast<off_t>(call.argument(2));
  off_t end = 0;
  const bool right = from >= 0 && !__builtin_add_overflow(from, size, &end) && end >= from &&
                     (call.argument32(3) & ~kFlags) == 0;
  right ? call.FailWith(ESPIPE) : call.Continue();
}

}  // namespace

void AnswerRegularFileCall(CallerServices& services, TrappedCall& call, const OpenFile& file) {
  switch (call.number()) {
    case SYS_fallocate:
      return AnswerFallocate(call);
    case SYS_epoll_ctl:
      return file.can_poll() ? call.Continue() : AnswerEpoll(services, call);
    case SYS_fcntl:
      return AnswerFcntl(call, file);
    case SYS_sync_file_range:
      return AnswerSyncRange(call);
    case SYS_readahead:
      return call.OpenedFor(call.descriptor(), true, false) ? call.FailWith(EINVAL)
                                                            : call.Continue();
    case SYS_sendfile:
      return Copy(services, call).AnswerSendfile();
    case SYS_splice:
      return Copy(services, call).AnswerSplice();
    case SYS_copy_file_range:
      return Copy(services, call).AnswerCopyFileRange();
    default:  // fsync, fdatasync: no such operation; ftruncate: not regular
      return call.FailWith(EINVAL);
  }
}

}  // namespace vfiolab
