// Calls on descriptors.
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "preload/answer.hpp"
#include "preload/host.hpp"
#include "preload/real.hpp"
#include "preload/socket_calls.hpp"
#include "process/dropping_advice.hpp"
#include "process/guarded_copy.hpp"

using vfiolab::u32;
using vfiolab::u64;
using namespace vfiolab::preload;

namespace {

u64 Address(const void* pointer) { return reinterpret_cast<u64>(pointer); }

// One buffer after the other, as far as each is moved whole, after all the kernel's checks
// (fs/read_write.c, lib/iov_iter.c). No flag that wants something of the file is for ours.
template <class Move>
ssize_t InParts(const iovec* given, int count, off_t offset, int flags, Move move) {
  constexpr u64 kEndOfAddresses = 0x7ffffffff000;
  // What the file can do comes before what the buffers are.
  if (move(nullptr, 0, offset) < 0) return -1;
  if (count < 0 || count > IOV_MAX) return errno = EINVAL, -1;
  std::vector<iovec> parts(static_cast<std::size_t>(count));
  if (!vfiolab::GuardedCopy(parts.data(), given, parts.size() * sizeof(iovec)))
    return errno = EFAULT, -1;
  for (const iovec& part : parts) {
    if (static_cast<ssize_t>(part.iov_len) < 0) return errno = EINVAL, -1;
    if (part.iov_len > kEndOfAddresses || Address(part.iov_base) > kEndOfAddresses - part.iov_len)
      return errno = EFAULT, -1;
  }
  std::erase_if(parts, [](const iovec& part) { return part.iov_len == 0; });
  if (parts.empty()) return 0;
  if ((flags & ~RWF_HIPRI) != 0) return errno = EOPNOTSUPP, -1;
  ssize_t moved = 0;
  for (const iovec& part : parts) {
    const ssize_t size = move(part.iov_base, part.iov_len, offset + moved);
    if (size < 0) return moved > 0 ? moved : size;
    moved += size;
    if (static_cast<std::size_t>(size) < part.iov_len) break;
  }
  return moved;
}

// `made` is a number more of `fd`, or -1.
int Shared(int fd, int made) {
  const int error = errno;
  Host::Share(fd, made);
  errno = error;
  return made;
}

bool IsOffset(off_t offset) {
  if (offset >= 0) return true;
  errno = EINVAL;
  return false;
}

}  // namespace

VFIOLAB_INTERPOSED int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  Host* host = Host::Of(fd);
  if (host == nullptr) return real(ioctl)(fd, request, argument);
  return static_cast<int>(Answer(host->Ioctl(fd, static_cast<u32>(request), Address(argument))));
}

// ---- Reads and writes ----

VFIOLAB_INTERPOSED ssize_t read(int fd, void* to, size_t size) {
  if (Host* host = Host::Of(fd)) return Answer(host->Read(fd, Address(to), size));
  if (const auto got = Here(ReceiveHere, SYS_read, fd, to, size)) return *got;
  return real(read)(fd, to, size);
}

VFIOLAB_INTERPOSED ssize_t write(int fd, const void* from, size_t size) {
  if (Host* host = Host::Of(fd)) return Answer(host->Write(fd, Address(from), size));
  if (const auto sent = Here(SendHere, SYS_write, fd, from, size)) return *sent;
  return real(write)(fd, from, size);
}

VFIOLAB_INTERPOSED ssize_t pread64(int fd, void* to, size_t size, off64_t offset) {
  Host* host = Host::Of(fd);
  if (host == nullptr) return real(pread64)(fd, to, size, offset);
  if (!IsOffset(offset)) return -1;
  return Answer(host->Read(fd, Address(to), size, static_cast<u64>(offset)));
}

VFIOLAB_INTERPOSED ssize_t pwrite64(int fd, const void* from, size_t size, off64_t offset) {
  Host* host = Host::Of(fd);
  if (host == nullptr) return real(pwrite64)(fd, from, size, offset);
  if (!IsOffset(offset)) return -1;
  return Answer(host->Write(fd, Address(from), size, static_cast<u64>(offset)));
}

VFIOLAB_INTERPOSED ssize_t pread(int fd, void* to, size_t size, off_t offset) {
  return pread64(fd, to, size, offset);
}
VFIOLAB_INTERPOSED ssize_t pwrite(int fd, const void* from, size_t size, off_t offset) {
  return pwrite64(fd, from, size, offset);
}

VFIOLAB_INTERPOSED ssize_t preadv64v2(int fd, const iovec* parts, int count, off64_t offset,
                                      int flags) {
  Host* host = Host::Of(fd);
  if (host == nullptr) return real(preadv64v2)(fd, parts, count, offset, flags);
  const bool at_position = offset == -1;
  if (!at_position && !IsOffset(offset)) return -1;
  return InParts(parts, count, offset, flags, [&](void* at, std::size_t size, off_t from) {
    const auto place = at_position ? std::nullopt : std::optional(static_cast<u64>(from));
    return Answer(host->Read(fd, Address(at), size, place));
  });
}
VFIOLAB_INTERPOSED ssize_t pwritev64v2(int fd, const iovec* parts, int count, off64_t offset,
                                       int flags) {
  Host* host = Host::Of(fd);
  if (host == nullptr) return real(pwritev64v2)(fd, parts, count, offset, flags);
  const bool at_position = offset == -1;
  if (!at_position && !IsOffset(offset)) return -1;
  return InParts(parts, count, offset, flags, [&](void* at, std::size_t size, off_t to) {
    const auto place = at_position ? std::nullopt : std::optional(static_cast<u64>(to));
    return Answer(host->Write(fd, Address(at), size, place));
  });
}
VFIOLAB_INTERPOSED ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  return preadv64v2(fd, parts, count, offset, flags);
}
VFIOLAB_INTERPOSED ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset,
                                    int flags) {
  return pwritev64v2(fd, parts, count, offset, flags);
}

VFIOLAB_INTERPOSED ssize_t readv(int fd, const iovec* parts, int count) {
  if (Host::Of(fd) != nullptr) return preadv64v2(fd, parts, count, -1, 0);
  if (const auto got = Here(ReceiveHere, SYS_readv, fd, parts, count)) return *got;
  return real(readv)(fd, parts, count);
}
VFIOLAB_INTERPOSED ssize_t writev(int fd, const iovec* parts, int count) {
  if (Host::Of(fd) != nullptr) return pwritev64v2(fd, parts, count, -1, 0);
  if (const auto sent = Here(SendHere, SYS_writev, fd, parts, count)) return *sent;
  return real(writev)(fd, parts, count);
}
VFIOLAB_INTERPOSED ssize_t preadv64(int fd, const iovec* parts, int count, off64_t offset) {
  if (Host::Of(fd) == nullptr) return real(preadv64)(fd, parts, count, offset);
  return IsOffset(offset) ? preadv64v2(fd, parts, count, offset, 0) : -1;
}
VFIOLAB_INTERPOSED ssize_t pwritev64(int fd, const iovec* parts, int count, off64_t offset) {
  if (Host::Of(fd) == nullptr) return real(pwritev64)(fd, parts, count, offset);
  return IsOffset(offset) ? pwritev64v2(fd, parts, count, offset, 0) : -1;
}
VFIOLAB_INTERPOSED ssize_t preadv(int fd, const iovec* parts, int count, off_t offset) {
  return preadv64(fd, parts, count, offset);
}
VFIOLAB_INTERPOSED ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  return pwritev64(fd, parts, count, offset);
}

VFIOLAB_INTERPOSED off64_t lseek64(int fd, off64_t offset, int whence) {
  Host* host = Host::Of(fd);
  return host == nullptr ? real(lseek64)(fd, offset, whence)
                         : Answer(host->Seek(fd, offset, whence));
}
VFIOLAB_INTERPOSED off_t lseek(int fd, off_t offset, int whence) {
  return lseek64(fd, offset, whence);
}

// With _FORTIFY_SOURCE a compiler calls these.
VFIOLAB_INTERPOSED ssize_t __read_chk(int fd, void* to, size_t size, size_t) {
  return read(fd, to, size);
}
VFIOLAB_INTERPOSED ssize_t __pread_chk(int fd, void* to, size_t size, off_t offset, size_t) {
  return pread64(fd, to, size, offset);
}
VFIOLAB_INTERPOSED ssize_t __pread64_chk(int fd, void* to, size_t size, off64_t offset, size_t) {
  return pread64(fd, to, size, offset);
}

// ---- Memory ----

VFIOLAB_INTERPOSED void* mmap64(void* at, size_t length, int protection, int flags, int fd,
                                off64_t offset) {
  Host* host = (flags & MAP_ANONYMOUS) != 0 ? nullptr : Host::Of(fd);
  if (host != nullptr)
    return reinterpret_cast<void*>(
        Answer(host->Mmap(Address(at), length, protection, flags, fd, static_cast<u64>(offset))));
  if ((flags & MAP_FIXED) != 0 && Host::MayBePinned(Address(at), length)) {
    // One that the kernel refuses leaves what is there.
    void* tried = real(mmap64)(nullptr, length, protection, flags & ~MAP_FIXED, fd, offset);
    if (tried == MAP_FAILED) return MAP_FAILED;
    real(munmap)(tried, length);
    Host::BeforeUnmap(Address(at), length);
  }
  void* mapped = real(mmap64)(at, length, protection, flags, fd, offset);
  if ((flags & MAP_FIXED) != 0 && mapped != MAP_FAILED)
    if (Host* any = Host::WithWindows()) any->ForgetWindows(Address(at), length);
  return mapped;
}
VFIOLAB_INTERPOSED void* mmap(void* at, size_t length, int protection, int flags, int fd,
                              off_t offset) {
  return mmap64(at, length, protection, flags, fd, offset);
}

VFIOLAB_INTERPOSED int munmap(void* at, size_t length) {
  Host::BeforeUnmap(Address(at), length);
  const int result = real(munmap)(at, length);
  if (result == 0)
    if (Host* host = Host::WithWindows()) host->ForgetWindows(Address(at), length);
  return result;
}

// mm/mremap.c: mappings of registers do not grow.
VFIOLAB_INTERPOSED void* mremap(void* at, size_t length, size_t wanted, int flags, ...) noexcept {
  va_list arguments;
  va_start(arguments, flags);
  void* to = (flags & MREMAP_FIXED) != 0 ? va_arg(arguments, void*) : nullptr;
  va_end(arguments);
  Host* host = Host::WithWindows();
  if (host != nullptr && wanted > length && host->HasWindow(Address(at), length))
    return errno = EFAULT, MAP_FAILED;
  void* moved = real(mremap)(at, length, wanted, flags, to);
  if (host != nullptr && moved != MAP_FAILED)
    host->MoveWindows(Address(at), length, Address(moved), wanted);
  return moved;
}

VFIOLAB_INTERPOSED int madvise(void* at, size_t length, int advice) noexcept {
  const int result = real(madvise)(at, length, advice);
  if (result == 0 &&
      std::ranges::count(vfiolab::kDroppingAdvice, static_cast<unsigned>(advice)) != 0)
    if (Host* host = Host::WithWindows()) host->ForgetPages(Address(at), length);
  return result;
}

VFIOLAB_INTERPOSED int mprotect(void* at, size_t length, int protection) noexcept {
  Host* host = Host::WithWindows();
  return host == nullptr ? real(mprotect)(at, length, protection)
                         : static_cast<int>(Answer(host->Protect(Address(at), length, protection)));
}

VFIOLAB_INTERPOSED int setrlimit64(__rlimit_resource_t resource, const rlimit64* limit) {
  const int result = real(setrlimit64)(resource, limit);
  if (Host* host = resource == RLIMIT_MEMLOCK ? Host::Get() : nullptr) host->RefreshLimits();
  return result;
}
VFIOLAB_INTERPOSED int setrlimit(__rlimit_resource_t resource, const rlimit* limit) {
  return setrlimit64(resource, reinterpret_cast<const rlimit64*>(limit));
}

// ---- Numbers ----

VFIOLAB_INTERPOSED int close(int fd) {
  if (Host::IsOwn(fd)) return errno = EBADF, -1;
  Host::Forget(fd);
  if (Host* host = Host::Of(fd)) return static_cast<int>(Answer(host->Close(fd)));
  return real(close)(fd);
}

VFIOLAB_INTERPOSED int close_range(unsigned first, unsigned last, int flags) {
  const u64 end = std::min<u64>(last, Host::LastDescriptor());
  for (u64 fd = first; fd <= end; ++fd) {
    if ((flags & CLOSE_RANGE_CLOEXEC) == 0 && Host::Of(static_cast<int>(fd)) != nullptr)
      close(static_cast<int>(fd));
    if (!Host::IsOwn(static_cast<int>(fd))) continue;
    if (fd > first && real(close_range)(first, static_cast<unsigned>(fd - 1), flags) != 0)
      return -1;
    first = static_cast<unsigned>(fd + 1);
  }
  return first > last ? 0 : real(close_range)(first, last, flags);
}
VFIOLAB_INTERPOSED void closefrom(int first) {
  close_range(static_cast<unsigned>(std::max(first, 0)), ~0u, 0);
}

VFIOLAB_INTERPOSED int dup(int fd) {
  if (Host* host = Host::Of(fd)) return static_cast<int>(Answer(host->Duplicate(fd, -1, 0, false)));
  return Shared(fd, real(dup)(fd));
}
VFIOLAB_INTERPOSED int dup3(int fd, int to, int flags) {
  Host* host = Host::Of(fd);
  if (fd == to || to < 0) return real(dup3)(fd, to, flags);
  if (Host::IsOwn(to)) return errno = EBADF, -1;
  if (Host* closed = Host::Of(to)) closed->Close(to).IgnoreError();
  Host::Forget(to);
  return host == nullptr
             ? Shared(fd, real(dup3)(fd, to, flags))
             : static_cast<int>(Answer(host->Duplicate(fd, to, 0, (flags & O_CLOEXEC) != 0)));
}
VFIOLAB_INTERPOSED int dup2(int fd, int to) {
  return fd == to ? real(dup2)(fd, to) : dup3(fd, to, 0);
}

// fs/fcntl.c.
static int OfFile(Host& host, int fd, int command, void* argument) {
  const bool direct = command == F_SETFL && (Address(argument) & O_DIRECT) != 0;
  if (command == F_SETLEASE || direct) return errno = EINVAL, -1;
  const int result = real(fcntl64)(fd, command, argument);
  return command == F_GETFL && result >= 0 ? host.StatusFlags(fd, result) : result;
}

VFIOLAB_INTERPOSED int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  Host* host = Host::Of(fd);
  const bool duplicates = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
  if (!duplicates)
    return host == nullptr ? real(fcntl64)(fd, command, argument)
                           : OfFile(*host, fd, command, argument);
  if (host == nullptr) return Shared(fd, real(fcntl64)(fd, command, argument));
  return static_cast<int>(Answer(
      host->Duplicate(fd, -1, static_cast<int>(Address(argument)), command == F_DUPFD_CLOEXEC)));
}
VFIOLAB_INTERPOSED int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return fcntl64(fd, command, argument);
}

VFIOLAB_INTERPOSED int fstat64(int fd, struct stat64* attributes) {
  Host* host = Host::OfDirectory(fd);
  if (host == nullptr) host = Host::Of(fd);
  if (host == nullptr) return real(fstat64)(fd, attributes);
  const auto found = host->StatDescriptor(fd);
  if (found) *reinterpret_cast<struct stat*>(attributes) = *found;
  return static_cast<int>(Answer(found ? vfiolab::Result<>{} : vfiolab::Failure{found.error()}));
}
VFIOLAB_INTERPOSED int fstat(int fd, struct stat* attributes) {
  return fstat64(fd, reinterpret_cast<struct stat64*>(attributes));
}
