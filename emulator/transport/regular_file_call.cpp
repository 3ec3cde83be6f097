#include "transport/regular_file_call.hpp"

#include <linux/falloc.h>
#include <sys/epoll.h>

namespace vfiolab {
namespace {

// fs/open.c vfs_fallocate: ENODEV, once the range, the mode and the descriptor are right.
void AnswerFallocate(TrappedCall& call) {
  constexpr u64 kUsual = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
  const u64 mode = call.argument(1);
  const auto from = static_cast<off_t>(call.argument(2)),
             size = static_cast<off_t>(call.argument(3));
  const bool right = from >= 0 && size > 0 && (mode & ~kUsual) == 0 &&
                     mode != FALLOC_FL_PUNCH_HOLE && call.OpenedFor(call.descriptor(), false, true);
  right ? call.FailWith(ENODEV) : call.Continue();
}

// fs/eventpoll.c do_epoll_ctl: EPERM of a file without poll, once the event has been copied and
// both descriptors are open.
void AnswerEpoll(CallerServices& services, TrappedCall& call) {
  if (call.argument(1) != EPOLL_CTL_DEL) {
    Caller caller(services, call.tid());
    CallContext& context = caller;
    epoll_event event{};
    if (!context.memory().Read(ClientAddress{call.argument(3)},
                               std::as_writable_bytes(std::span{&event, 1})))
      return call.Continue();
  }
  const Turn::ClientAccess access(services.turn, call.tid());
  StatDescriptor(call.tid(), static_cast<int>(call.argument(0))) ? call.FailWith(EPERM)
                                                                 : call.Continue();
}

// fs/splice.c: EINVAL of a file without splice_read, splice_write and a position, once both
// descriptors are open for it.
void AnswerCopy(TrappedCall& call) {
  const bool right =
      call.OpenedFor(call.descriptor(), true, false) && call.OpenedFor(*call.target(), false, true);
  right ? call.FailWith(EINVAL) : call.Continue();
}

// fs/fcntl.c. A file that an ioctl has opened is without O_LARGEFILE, which open() adds.
void AnswerFcntl(TrappedCall& call, const OpenFile& file) {
  const u64 command = call.argument(1);
  if (command == F_SETLEASE || (command == F_SETFL && (call.argument(2) & O_DIRECT) != 0))
    return call.FailWith(EINVAL);
  const auto flags = FlagsOfDescriptor(call.tid(), call.descriptor());
  if (command != F_GETFL || !flags || file.has_node()) return call.Continue();
  constexpr int kLargeFile = 0100000;  // O_LARGEFILE, which is 0 in 64-bit programs
  call.Return(*flags & ~kLargeFile);
}

// fs/sync.c sync_file_range: ESPIPE, once the range and the flags are right.
void AnswerSyncRange(TrappedCall& call) {
  constexpr u64 kFlags =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  const auto from = static_cast<off_t>(call.argument(1)),
             size = static_cast<off_t>(call.argument(2));
  off_t end = 0;
  const bool right = from >= 0 && !__builtin_add_overflow(from, size, &end) && end >= from &&
                     (call.argument(3) & ~kFlags) == 0;
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
    case SYS_splice:
    case SYS_copy_file_range:
      return AnswerCopy(call);
    default:  // fsync, fdatasync: no such operation; ftruncate: not regular
      return call.FailWith(EINVAL);
  }
}

}  // namespace vfiolab
