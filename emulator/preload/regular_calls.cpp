// Calls that are made for regular files, which the files of devices refuse. Where the kernel has
// something to refuse of any file it does so, on the file that keeps the number.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "preload/answer.hpp"
#include "preload/host.hpp"
#include "preload/real.hpp"
#include "process/guarded_copy.hpp"

using namespace vfiolab::preload;

namespace {

int Refuse(int error) {
  errno = error;
  return -1;
}

bool IsDevice(int fd) {
  Host* host = Host::Of(fd);
  return host != nullptr && !host->IsText(fd);
}

bool IsOpenFor(int fd, int unwanted) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_PATH) == 0 && (flags & O_ACCMODE) != unwanted;
}
bool IsPipe(int fd) {
  struct stat found {};
  return ::fstat(fd, &found) == 0 && S_ISFIFO(found.st_mode);
}
bool HasOffset(const off64_t* offset) {
  off64_t value = 0;
  return offset == nullptr || vfiolab::GuardedCopy(&value, offset, sizeof value);
}

// fs/read_write.c do_sendfile: EINVAL, unless there is nothing to move.
bool HasNothingToSend(int to, int from, const off64_t* offset, size_t count) {
  if (count == 0) return !IsDevice(from) || IsPipe(to);
  struct stat found {};
  if (IsDevice(from) || real(fstat)(from, &found) != 0 || !S_ISREG(found.st_mode)) return false;
  return (offset != nullptr ? *offset : ::lseek64(from, 0, SEEK_CUR)) >= found.st_size;
}

// What `from`, a file of text, has: `write` takes it.
template <class Write>
ssize_t Pass(int from, off64_t* offset, size_t count, Write write) {
  std::vector<char> bytes(std::min<size_t>(count, 65536));
  const ssize_t size = offset == nullptr ? ::read(from, bytes.data(), bytes.size())
                                         : ::pread64(from, bytes.data(), bytes.size(), *offset);
  if (size <= 0) return size;
  const ssize_t moved = write(bytes.data(), static_cast<size_t>(size));
  if (offset != nullptr && moved > 0)
    *offset += moved;
  else if (moved < size)
    ::lseek64(from, std::max<ssize_t>(moved, 0) - size, SEEK_CUR);
  return moved;
}

}  // namespace

VFIOLAB_INTERPOSED int fsync(int fd) {
  return Host::Of(fd) != nullptr && IsOpenFor(fd, -1) ? Refuse(EINVAL) : real(fsync)(fd);
}
VFIOLAB_INTERPOSED int fdatasync(int fd) {
  return Host::Of(fd) != nullptr && IsOpenFor(fd, -1) ? Refuse(EINVAL) : real(fdatasync)(fd);
}
VFIOLAB_INTERPOSED int ftruncate64(int fd, off64_t size) noexcept {
  return IsDevice(fd) ? Refuse(EINVAL) : real(ftruncate64)(fd, size);
}
VFIOLAB_INTERPOSED int ftruncate(int fd, off_t size) noexcept { return ftruncate64(fd, size); }

// fs/open.c vfs_fallocate.
VFIOLAB_INTERPOSED int fallocate64(int fd, int mode, off64_t from, off64_t size) {
  if (!IsDevice(fd)) return real(fallocate64)(fd, mode, from, size);
  constexpr int kOthers = FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE |
                          FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE | 0x80;
  if (from < 0 || size <= 0) return Refuse(EINVAL);
  const int kind = mode & ~FALLOC_FL_KEEP_SIZE;
  const bool keeps = kind != mode;
  const bool known =
      (kind & ~kOthers) == 0 && (kind & (kind - 1)) == 0 &&
      (kind != FALLOC_FL_PUNCH_HOLE || keeps) &&
      ((kind & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE | 0x80)) == 0 || !keeps);
  if (!known) return Refuse(EOPNOTSUPP);
  return Refuse(IsOpenFor(fd, O_RDONLY) ? ENODEV : EBADF);
}
VFIOLAB_INTERPOSED int fallocate(int fd, int mode, off_t from, off_t size) {
  return fallocate64(fd, mode, from, size);
}

VFIOLAB_INTERPOSED ssize_t readahead(int fd, off64_t from, size_t size) noexcept {
  if (!IsDevice(fd)) return real(readahead)(fd, from, size);
  return Refuse(IsOpenFor(fd, O_WRONLY) ? EINVAL : EBADF);
}
// fs/sync.c sync_file_range: ESPIPE, once the range and the flags are right.
VFIOLAB_INTERPOSED int sync_file_range(int fd, off64_t from, off64_t size, unsigned flags) {
  if (!IsDevice(fd)) return real(sync_file_range)(fd, from, size, flags);
  const int result = real(sync_file_range)(fd, from, size, flags);
  return result != 0 ? result : Refuse(ESPIPE);
}

VFIOLAB_INTERPOSED ssize_t sendfile64(int to, int from, off64_t* offset, size_t count) noexcept {
  const bool device = IsDevice(to) || IsDevice(from);
  if (!device && Host::Of(from) == nullptr) return real(sendfile64)(to, from, offset, count);
  if (!HasOffset(offset)) return Refuse(EFAULT);
  if (!IsOpenFor(from, O_WRONLY) || !IsOpenFor(to, O_RDONLY)) return Refuse(EBADF);
  if (device) return HasNothingToSend(to, from, offset, count) ? 0 : Refuse(EINVAL);
  return Pass(from, offset, count,
              [to](const char* bytes, size_t size) { return ::write(to, bytes, size); });
}
VFIOLAB_INTERPOSED ssize_t sendfile(int to, int from, off_t* offset, size_t count) noexcept {
  return sendfile64(to, from, offset, count);
}

// fs/splice.c do_splice: EINVAL of a file without splice_read and splice_write.
VFIOLAB_INTERPOSED ssize_t splice(int from, off64_t* at, int to, off64_t* into, size_t count,
                                  unsigned flags) {
  const bool device = IsDevice(to) || IsDevice(from);
  if (!device && Host::Of(from) == nullptr) return real(splice)(from, at, to, into, count, flags);
  if (count == 0) return 0;
  if (!HasOffset(at) || !HasOffset(into)) return Refuse(EFAULT);
  if (!IsOpenFor(from, O_WRONLY) || !IsOpenFor(to, O_RDONLY)) return Refuse(EBADF);
  if ((IsPipe(from) && at != nullptr) || (IsPipe(to) && into != nullptr)) return Refuse(ESPIPE);
  if (device || !IsPipe(to)) return Refuse(EINVAL);
  return Pass(from, at, count,
              [to](const char* bytes, size_t size) { return ::write(to, bytes, size); });
}

// fs/read_write.c generic_file_rw_checks asks for the types before it asks how they were opened.
VFIOLAB_INTERPOSED ssize_t copy_file_range(int from, off64_t* at, int to, off64_t* into,
                                           size_t count, unsigned flags) {
  if (!IsDevice(to) && !IsDevice(from))
    return real(copy_file_range)(from, at, to, into, count, flags);
  if (!HasOffset(at) || !HasOffset(into)) return Refuse(EFAULT);
  struct stat found {};
  const int other = IsDevice(to) ? from : to;
  if (real(fstat)(other, &found) != 0 || !IsOpenFor(other, -1)) return Refuse(EBADF);
  return Refuse(S_ISDIR(found.st_mode) ? EISDIR : EINVAL);
}
