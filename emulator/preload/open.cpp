// Calls that open a path.
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "preload/answer.hpp"
#include "preload/path_calls.hpp"
#include "preload/real.hpp"

using vfiolab::Failure;
using vfiolab::Result;
using namespace vfiolab::preload;

namespace {

// N of "/proc/self/fd/N", where that is ours; -1: it is not.
int DescriptorIn(const char* path) {
  if (path == nullptr || std::strncmp(path, "/proc/", 6) != 0) return -1;
  const std::string own = "/proc/" + std::to_string(::getpid()) + "/fd/";
  const std::string_view whole = path;
  const std::string_view prefix = whole.starts_with("/proc/self/fd/") ? "/proc/self/fd/"
                                  : whole.starts_with(own)            ? std::string_view(own)
                                                                      : std::string_view();
  char* end = nullptr;
  const long fd = prefix.empty() ? -1 : std::strtol(path + prefix.size(), &end, 10);
  return fd >= 0 && *end == '\0' && Host::Of(static_cast<int>(fd)) != nullptr ? static_cast<int>(fd)
                                                                              : -1;
}

// The path of a file alone: to most calls it is not open.
int OpenPathOnly(int flags) {
  const int file = static_cast<int>(::syscall(SYS_memfd_create, "vfiolab", MFD_CLOEXEC));
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const int fd = real(open64)(path.c_str(), flags & (O_PATH | O_CLOEXEC));
  real(close)(file);
  return fd;
}

int OpenAt(int directory, const char* path, int flags, mode_t mode) {
  const int known = DescriptorIn(path);
  if (known >= 0 && (flags & O_PATH) != 0) return OpenPathOnly(flags);
  if (const int fd = known; fd >= 0)
    return static_cast<int>(Answer(Host::Of(fd)->OpenAnew(fd, flags)));
  const Own own = Find(directory, path);
  if (!own) return real(openat64)(directory, own.Real(path), flags, mode);
  const auto found = own.host->Stat(own.path, (flags & O_NOFOLLOW) == 0);
  if (!found) return static_cast<int>(Answer(found ? Result<>{} : Failure{found.error()}));
  if (S_ISDIR(found->st_mode)) return OpenDirectory(own, flags);
  if ((flags & O_DIRECTORY) != 0) return errno = ENOTDIR, -1;
  if ((flags & O_PATH) != 0) return OpenPathOnly(flags);
  return static_cast<int>(Answer(own.host->Open(own.path, flags)));
}

// A file of the C library's that reads and writes by calls of ours, as its own go past us.
FILE* Wrap(int fd, const char* mode) {
  const cookie_io_functions_t functions{
      [](void* cookie, char* to, size_t size) {
        return ::read(static_cast<int>(reinterpret_cast<intptr_t>(cookie)), to, size);
      },
      [](void* cookie, const char* from, size_t size) {
        const ssize_t written =
            ::write(static_cast<int>(reinterpret_cast<intptr_t>(cookie)), from, size);
        return written < 0 ? ssize_t{0} : written;
      },
      [](void* cookie, off64_t* offset, int whence) {
        const off64_t at =
            ::lseek64(static_cast<int>(reinterpret_cast<intptr_t>(cookie)), *offset, whence);
        if (at >= 0) *offset = at;
        return at < 0 ? -1 : 0;
      },
      [](void* cookie) { return ::close(static_cast<int>(reinterpret_cast<intptr_t>(cookie))); }};
  FILE* file = ::fopencookie(reinterpret_cast<void*>(static_cast<intptr_t>(fd)), mode, functions);
  if (file != nullptr) file->_fileno = fd;
  return file;
}

// fopen's "r+e" as open's flags; -1: there is no such mode.
int FlagsOf(const char* mode) {
  const bool both = std::strchr(mode, '+') != nullptr;
  const int closes = std::strchr(mode, 'e') != nullptr ? O_CLOEXEC : 0;
  switch (*mode) {
    case 'r':
      return closes | (both ? O_RDWR : O_RDONLY);
    case 'w':
    case 'a':
      return closes | (both ? O_RDWR : O_WRONLY);
    default:
      return -1;
  }
}

}  // namespace

// ---- open ----

VFIOLAB_INTERPOSED int openat64(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return OpenAt(directory, path, flags, mode);
}
VFIOLAB_INTERPOSED int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return OpenAt(directory, path, flags, mode);
}
VFIOLAB_INTERPOSED int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return OpenAt(AT_FDCWD, path, flags, mode);
}
VFIOLAB_INTERPOSED int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return OpenAt(AT_FDCWD, path, flags, mode);
}
VFIOLAB_INTERPOSED int creat(const char* path, mode_t mode) {
  return OpenAt(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
VFIOLAB_INTERPOSED int creat64(const char* path, mode_t mode) { return creat(path, mode); }
// With _FORTIFY_SOURCE a compiler calls these.
VFIOLAB_INTERPOSED int __open_2(const char* path, int flags) {
  return OpenAt(AT_FDCWD, path, flags, 0);
}
VFIOLAB_INTERPOSED int __open64_2(const char* path, int flags) {
  return OpenAt(AT_FDCWD, path, flags, 0);
}
VFIOLAB_INTERPOSED int __openat_2(int directory, const char* path, int flags) {
  return OpenAt(directory, path, flags, 0);
}
VFIOLAB_INTERPOSED int __openat64_2(int directory, const char* path, int flags) {
  return OpenAt(directory, path, flags, 0);
}

VFIOLAB_INTERPOSED FILE* fopen64(const char* path, const char* mode) {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(fopen64)(own.Real(path), mode);
  const int flags = FlagsOf(mode);
  if (flags < 0) return errno = EINVAL, nullptr;
  const int fd = OpenAt(AT_FDCWD, path, flags, 0);
  return fd < 0 ? nullptr : Wrap(fd, mode);
}
VFIOLAB_INTERPOSED FILE* fopen(const char* path, const char* mode) { return fopen64(path, mode); }
VFIOLAB_INTERPOSED FILE* fdopen(int fd, const char* mode) noexcept {
  return Host::Of(fd) == nullptr ? real(fdopen)(fd, mode) : Wrap(fd, mode);
}
