// Calls on paths.
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "preload/answer.hpp"
#include "preload/host.hpp"
#include "preload/real.hpp"

using vfiolab::Failure;
using vfiolab::Result;
using namespace vfiolab::preload;

namespace {

// The host and the path on it, when a call's path leads there.
struct Own {
  Host* host = nullptr;
  std::string path;
  explicit operator bool() const { return host != nullptr; }
};

Own Find(int directory, const char* path) {
  Host* host = path == nullptr || (*path == '/' && !MayBeOwn(path)) ? nullptr : Host::Get();
  if (host == nullptr) return {};
  auto own = host->OwnPath(directory, path);
  if (!own) return {};
  return {host, *std::move(own)};
}

int OpenDirectory(const Own& own, int flags) {
  const Result<std::string> mirror = own.host->Mirror(own.path);
  if (!mirror) return static_cast<int>(Answer(mirror));
  const int fd = real(open64)(mirror->c_str(), flags);
  if (fd >= 0) own.host->AddDirectory(fd, own.path);
  return fd;
}

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

int OpenAt(int directory, const char* path, int flags, mode_t mode) {
  if (const int fd = DescriptorIn(path); fd >= 0)
    return static_cast<int>(Answer(Host::Of(fd)->OpenAnew(fd, flags)));
  const Own own = Find(directory, path);
  if (!own) return real(openat64)(directory, path, flags, mode);
  const auto found = own.host->Stat(own.path, (flags & O_NOFOLLOW) == 0);
  if (!found) return static_cast<int>(Answer(found ? Result<>{} : Failure{found.error()}));
  if (S_ISDIR(found->st_mode)) return OpenDirectory(own, flags);
  if ((flags & O_DIRECTORY) != 0) return errno = ENOTDIR, -1;
  return static_cast<int>(Answer(own.host->Open(own.path, flags)));
}

int StatAt(int directory, const char* path, struct stat* attributes, int flags) {
  const Own own = Find(directory, path);
  if (!own) return real(fstatat)(directory, path, attributes, flags);
  const auto found = own.host->Stat(own.path, (flags & AT_SYMLINK_NOFOLLOW) == 0);
  if (!found) return errno = found.error().code, -1;
  *attributes = *found;
  return 0;
}

ssize_t ReadLinkAt(int directory, const char* path, char* to, size_t size) {
  const Own own = Find(directory, path);
  if (!own) return real(readlinkat)(directory, path, to, size);
  const auto target = own.host->ReadLink(own.path);
  if (!target) return errno = target.error().code, -1;
  return static_cast<ssize_t>(target->copy(to, size));
}

int AccessAt(int directory, const char* path, int mode, int flags) {
  const Own own = Find(directory, path);
  if (!own) return real(faccessat)(directory, path, mode, flags);
  const auto found = own.host->Stat(own.path, (flags & AT_SYMLINK_NOFOLLOW) == 0);
  if (!found) return errno = found.error().code, -1;
  const unsigned wanted = static_cast<unsigned>(mode & 7);
  const unsigned owner = found->st_mode >> 6 & 7;
  if (::geteuid() != 0 && (owner & wanted) != wanted) return errno = EACCES, -1;
  return 0;
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
  if (!Find(AT_FDCWD, path)) return real(fopen64)(path, mode);
  const int flags = FlagsOf(mode);
  if (flags < 0) return errno = EINVAL, nullptr;
  const int fd = OpenAt(AT_FDCWD, path, flags, 0);
  return fd < 0 ? nullptr : Wrap(fd, mode);
}
VFIOLAB_INTERPOSED FILE* fopen(const char* path, const char* mode) { return fopen64(path, mode); }
VFIOLAB_INTERPOSED FILE* fdopen(int fd, const char* mode) noexcept {
  return Host::Of(fd) == nullptr ? real(fdopen)(fd, mode) : Wrap(fd, mode);
}

// ---- What a path names ----

VFIOLAB_INTERPOSED int fstatat64(int directory, const char* path, struct stat64* attributes,
                                 int flags) noexcept {
  return StatAt(directory, path, reinterpret_cast<struct stat*>(attributes), flags);
}
VFIOLAB_INTERPOSED int fstatat(int directory, const char* path, struct stat* attributes,
                               int flags) noexcept {
  return StatAt(directory, path, attributes, flags);
}
VFIOLAB_INTERPOSED int stat64(const char* path, struct stat64* attributes) noexcept {
  return StatAt(AT_FDCWD, path, reinterpret_cast<struct stat*>(attributes), 0);
}
VFIOLAB_INTERPOSED int stat(const char* path, struct stat* attributes) noexcept {
  return StatAt(AT_FDCWD, path, attributes, 0);
}
VFIOLAB_INTERPOSED int lstat64(const char* path, struct stat64* attributes) noexcept {
  return StatAt(AT_FDCWD, path, reinterpret_cast<struct stat*>(attributes), AT_SYMLINK_NOFOLLOW);
}
VFIOLAB_INTERPOSED int lstat(const char* path, struct stat* attributes) noexcept {
  return StatAt(AT_FDCWD, path, attributes, AT_SYMLINK_NOFOLLOW);
}
VFIOLAB_INTERPOSED int statx(int directory, const char* path, int flags, unsigned mask,
                             struct statx* attributes) noexcept {
  struct stat found {};
  if (path != nullptr && *path == '\0' && (flags & AT_EMPTY_PATH) != 0) {
    if (Host::Of(directory) == nullptr)
      return real(statx)(directory, path, flags, mask, attributes);
    if (::fstat(directory, &found) != 0) return -1;
  } else {
    if (!Find(directory, path)) return real(statx)(directory, path, flags, mask, attributes);
    if (StatAt(directory, path, &found, flags) != 0) return -1;
  }
  *attributes = {};
  attributes->stx_mask = STATX_BASIC_STATS;
  attributes->stx_mode = static_cast<__u16>(found.st_mode);
  attributes->stx_nlink = static_cast<__u32>(found.st_nlink);
  attributes->stx_uid = found.st_uid;
  attributes->stx_gid = found.st_gid;
  attributes->stx_size = static_cast<__u64>(found.st_size);
  attributes->stx_ino = found.st_ino;
  attributes->stx_blksize = static_cast<__u32>(found.st_blksize);
  attributes->stx_rdev_major = major(found.st_rdev);
  attributes->stx_rdev_minor = minor(found.st_rdev);
  attributes->stx_dev_major = major(found.st_dev);
  attributes->stx_dev_minor = minor(found.st_dev);
  return 0;
}

VFIOLAB_INTERPOSED ssize_t readlinkat(int directory, const char* path, char* to,
                                      size_t size) noexcept {
  return ReadLinkAt(directory, path, to, size);
}
VFIOLAB_INTERPOSED ssize_t readlink(const char* path, char* to, size_t size) noexcept {
  return ReadLinkAt(AT_FDCWD, path, to, size);
}
VFIOLAB_INTERPOSED ssize_t __readlink_chk(const char* path, char* to, size_t size, size_t) {
  return ReadLinkAt(AT_FDCWD, path, to, size);
}
VFIOLAB_INTERPOSED ssize_t __readlinkat_chk(int directory, const char* path, char* to, size_t size,
                                            size_t) {
  return ReadLinkAt(directory, path, to, size);
}

VFIOLAB_INTERPOSED int faccessat(int directory, const char* path, int mode, int flags) noexcept {
  return AccessAt(directory, path, mode, flags);
}
VFIOLAB_INTERPOSED int access(const char* path, int mode) noexcept {
  return AccessAt(AT_FDCWD, path, mode, 0);
}
VFIOLAB_INTERPOSED int euidaccess(const char* path, int mode) noexcept {
  return AccessAt(AT_FDCWD, path, mode, AT_EACCESS);
}
VFIOLAB_INTERPOSED int eaccess(const char* path, int mode) noexcept {
  return AccessAt(AT_FDCWD, path, mode, AT_EACCESS);
}

VFIOLAB_INTERPOSED char* realpath(const char* path, char* to) noexcept {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(realpath)(path, to);
  const auto found = own.host->RealPath(own.path);
  if (!found) return errno = found.error().code, nullptr;
  if (to == nullptr) return ::strdup(found->c_str());
  return std::strcpy(to, found->c_str());
}
VFIOLAB_INTERPOSED char* __realpath_chk(const char* path, char* to, size_t) {
  return ::realpath(path, to);
}
VFIOLAB_INTERPOSED char* canonicalize_file_name(const char* path) noexcept {
  return ::realpath(path, nullptr);
}

// ---- Directories ----

VFIOLAB_INTERPOSED DIR* opendir(const char* path) {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(opendir)(path);
  const int fd = OpenDirectory(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? nullptr : ::fdopendir(fd);
}
VFIOLAB_INTERPOSED int closedir(DIR* directory) {
  if (directory != nullptr) Host::Forget(::dirfd(directory));
  return real(closedir)(directory);
}

VFIOLAB_INTERPOSED int scandir64(const char* path, dirent64*** names,
                                 int (*selects)(const dirent64*),
                                 int (*compare)(const dirent64**, const dirent64**)) {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(scandir64)(path, names, selects, compare);
  const Result<std::string> mirror = own.host->Mirror(own.path);
  if (!mirror) return errno = mirror.error().code, -1;
  return real(scandir64)(mirror->c_str(), names, selects, compare);
}
VFIOLAB_INTERPOSED int scandir(const char* path, dirent*** names, int (*selects)(const dirent*),
                               int (*compare)(const dirent**, const dirent**)) {
  return scandir64(path, reinterpret_cast<dirent64***>(names),
                   reinterpret_cast<int (*)(const dirent64*)>(selects),
                   reinterpret_cast<int (*)(const dirent64**, const dirent64**)>(compare));
}

// The C library's own, with our ways to look.
VFIOLAB_INTERPOSED int glob64(const char* pattern, int flags, int (*on_error)(const char*, int),
                              glob64_t* found) {
  if ((flags & GLOB_ALTDIRFUNC) != 0 || Host::Get() == nullptr)
    return real(glob64)(pattern, flags, on_error, found);
  found->gl_opendir = [](const char* path) -> void* { return ::opendir(path); };
  found->gl_readdir = [](void* directory) { return ::readdir64(static_cast<DIR*>(directory)); };
  found->gl_closedir = [](void* directory) { ::closedir(static_cast<DIR*>(directory)); };
  found->gl_lstat = [](const char* path, struct stat64* attributes) {
    return ::lstat64(path, attributes);
  };
  found->gl_stat = [](const char* path, struct stat64* attributes) {
    return ::stat64(path, attributes);
  };
  return real(glob64)(pattern, flags | GLOB_ALTDIRFUNC, on_error, found);
}
VFIOLAB_INTERPOSED int glob(const char* pattern, int flags, int (*on_error)(const char*, int),
                            glob_t* found) {
  return glob64(pattern, flags, on_error, reinterpret_cast<glob64_t*>(found));
}

VFIOLAB_INTERPOSED int chdir(const char* path) noexcept {
  const Own own = Find(AT_FDCWD, path);
  Host* host = own ? own.host : Host::Get();
  if (!own) {
    const int result = real(chdir)(path);
    if (result == 0 && host != nullptr) host->SetWorkingDirectory(std::nullopt);
    return result;
  }
  const Result<std::string> mirror = host->Mirror(own.path);
  if (!mirror) return errno = mirror.error().code, -1;
  const int result = real(chdir)(mirror->c_str());
  if (result == 0) host->SetWorkingDirectory(own.path);
  return result;
}
VFIOLAB_INTERPOSED char* getcwd(char* to, size_t size) noexcept {
  Host* host = Host::Get();
  const auto own = host == nullptr ? std::nullopt : host->WorkingDirectory();
  if (!own) return real(getcwd)(to, size);
  if (to == nullptr) return ::strdup(own->c_str());
  if (own->size() >= size) return errno = ERANGE, nullptr;
  return std::strcpy(to, own->c_str());
}

// There are none.
VFIOLAB_INTERPOSED ssize_t getxattr(const char* path, const char* name, void* to,
                                    size_t size) noexcept {
  if (!Find(AT_FDCWD, path)) return real(getxattr)(path, name, to, size);
  return errno = ENODATA, -1;
}
VFIOLAB_INTERPOSED ssize_t lgetxattr(const char* path, const char* name, void* to,
                                     size_t size) noexcept {
  if (!Find(AT_FDCWD, path)) return real(lgetxattr)(path, name, to, size);
  return errno = ENODATA, -1;
}
VFIOLAB_INTERPOSED ssize_t listxattr(const char* path, char* to, size_t size) noexcept {
  return Find(AT_FDCWD, path) ? 0 : real(listxattr)(path, to, size);
}
VFIOLAB_INTERPOSED ssize_t llistxattr(const char* path, char* to, size_t size) noexcept {
  return Find(AT_FDCWD, path) ? 0 : real(llistxattr)(path, to, size);
}

// ---- Modes and owners ----

namespace {

using Owner = vfiolab::DeviceNode::Owner;

Owner OwnerOf(uid_t user, gid_t group) {
  constexpr auto kSame = ~uid_t{0};
  Owner owner;
  if (user != kSame) owner.user = user;
  if (group != kSame) owner.group = group;
  return owner;
}

}  // namespace

VFIOLAB_INTERPOSED int fchmodat(int directory, const char* path, mode_t mode, int flags) noexcept {
  const Own own = Find(directory, path);
  if (!own) return real(fchmodat)(directory, path, mode, flags);
  return static_cast<int>(Answer(own.host->SetAttributes(own.path, mode, {})));
}
VFIOLAB_INTERPOSED int chmod(const char* path, mode_t mode) noexcept {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(chmod)(path, mode);
  return static_cast<int>(Answer(own.host->SetAttributes(own.path, mode, {})));
}
VFIOLAB_INTERPOSED int fchmod(int fd, mode_t mode) noexcept {
  Host* host = Host::Of(fd);
  return host == nullptr ? real(fchmod)(fd, mode)
                         : static_cast<int>(Answer(host->SetAttributes(fd, mode, {})));
}
VFIOLAB_INTERPOSED int fchownat(int directory, const char* path, uid_t user, gid_t group,
                                int flags) noexcept {
  const Own own = Find(directory, path);
  if (!own) return real(fchownat)(directory, path, user, group, flags);
  return static_cast<int>(
      Answer(own.host->SetAttributes(own.path, std::nullopt, OwnerOf(user, group))));
}
VFIOLAB_INTERPOSED int chown(const char* path, uid_t user, gid_t group) noexcept {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(chown)(path, user, group);
  return static_cast<int>(
      Answer(own.host->SetAttributes(own.path, std::nullopt, OwnerOf(user, group))));
}
VFIOLAB_INTERPOSED int fchown(int fd, uid_t user, gid_t group) noexcept {
  Host* host = Host::Of(fd);
  return host == nullptr ? real(fchown)(fd, user, group)
                         : static_cast<int>(
                               Answer(host->SetAttributes(fd, std::nullopt, OwnerOf(user, group))));
}
