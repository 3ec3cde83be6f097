// Calls that ask, or change, what a path names.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "preload/answer.hpp"
#include "preload/path_calls.hpp"
#include "preload/real.hpp"

using namespace vfiolab::preload;

namespace {

int StatAt(int directory, const char* path, struct stat* attributes, int flags) {
  const bool of_descriptor = path != nullptr && *path == '\0' && (flags & AT_EMPTY_PATH) != 0;
  if (of_descriptor && directory >= 0) return ::fstat(directory, attributes);
  const Own own = Find(directory, path);
  if (!own) return real(fstatat)(directory, own.Real(path), attributes, flags);
  const auto found = own.host->Stat(own.path, (flags & AT_SYMLINK_NOFOLLOW) == 0);
  if (!found) return errno = found.error().code, -1;
  *attributes = *found;
  return 0;
}

ssize_t ReadLinkAt(int directory, const char* path, char* to, size_t size) {
  const Own own = Find(directory, path);
  if (!own) return real(readlinkat)(directory, own.Real(path), to, size);
  const auto target = own.host->ReadLink(own.path);
  if (!target) return errno = target.error().code, -1;
  return static_cast<ssize_t>(target->copy(to, size));
}

int AccessAt(int directory, const char* path, int mode, int flags) {
  const Own own = Find(directory, path);
  if (!own) return real(faccessat)(directory, own.Real(path), mode, flags);
  const auto found = own.host->Stat(own.path, (flags & AT_SYMLINK_NOFOLLOW) == 0);
  if (!found) return errno = found.error().code, -1;
  const unsigned wanted = static_cast<unsigned>(mode & 7);
  const unsigned owner = found->st_mode >> 6 & 7;
  if (::geteuid() != 0 && (owner & wanted) != wanted) return errno = EACCES, -1;
  return 0;
}

}  // namespace

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
    if (Host::Of(directory) == nullptr && Host::OfDirectory(directory) == nullptr)
      return real(statx)(directory, path, flags, mask, attributes);
    if (::fstat(directory, &found) != 0) return -1;
  } else {
    const Own own = Find(directory, path);
    if (!own) return real(statx)(directory, own.Real(path), flags, mask, attributes);
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
  if (!own) return real(realpath)(own.Real(path), to);
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

// There are none.
VFIOLAB_INTERPOSED ssize_t getxattr(const char* path, const char* name, void* to,
                                    size_t size) noexcept {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(getxattr)(own.Real(path), name, to, size);
  return errno = ENODATA, -1;
}
VFIOLAB_INTERPOSED ssize_t lgetxattr(const char* path, const char* name, void* to,
                                     size_t size) noexcept {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(lgetxattr)(own.Real(path), name, to, size);
  return errno = ENODATA, -1;
}
VFIOLAB_INTERPOSED ssize_t listxattr(const char* path, char* to, size_t size) noexcept {
  const Own own = Find(AT_FDCWD, path);
  return own ? 0 : real(listxattr)(own.Real(path), to, size);
}
VFIOLAB_INTERPOSED ssize_t llistxattr(const char* path, char* to, size_t size) noexcept {
  const Own own = Find(AT_FDCWD, path);
  return own ? 0 : real(llistxattr)(own.Real(path), to, size);
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
  if (!own) return real(fchmodat)(directory, own.Real(path), mode, flags);
  return static_cast<int>(Answer(own.host->SetAttributes(own.path, mode, {})));
}
VFIOLAB_INTERPOSED int chmod(const char* path, mode_t mode) noexcept {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(chmod)(own.Real(path), mode);
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
  if (!own) return real(fchownat)(directory, own.Real(path), user, group, flags);
  return static_cast<int>(
      Answer(own.host->SetAttributes(own.path, std::nullopt, OwnerOf(user, group))));
}
VFIOLAB_INTERPOSED int chown(const char* path, uid_t user, gid_t group) noexcept {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(chown)(own.Real(path), user, group);
  return static_cast<int>(
      Answer(own.host->SetAttributes(own.path, std::nullopt, OwnerOf(user, group))));
}
VFIOLAB_INTERPOSED int fchown(int fd, uid_t user, gid_t group) noexcept {
  Host* host = Host::Of(fd);
  return host == nullptr ? real(fchown)(fd, user, group)
                         : static_cast<int>(
                               Answer(host->SetAttributes(fd, std::nullopt, OwnerOf(user, group))));
}
