// Calls on directories.
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "preload/answer.hpp"
#include "preload/path_calls.hpp"
#include "preload/real.hpp"

using vfiolab::Result;
using namespace vfiolab::preload;

// ---- Directories ----

VFIOLAB_INTERPOSED DIR* opendir(const char* path) {
  const Own own = Find(AT_FDCWD, path);
  if (!own) return real(opendir)(own.Real(path));
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
  if (!own) return real(scandir64)(own.Real(path), names, selects, compare);
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

// Of a directory that both hosts have the real one is the better place to be.
VFIOLAB_INTERPOSED int chdir(const char* path) noexcept {
  const Own own = Find(AT_FDCWD, path);
  Host* host = own ? own.host : Host::Get();
  const bool shared = own && host->IsShared(own.path);
  Result<std::string> place{std::string(own.Real(path))};
  if (own && !shared) place = host->Mirror(own.path);
  if (!place) return errno = place.error().code, -1;
  const int result = real(chdir)(place->c_str());
  if (result != 0 || host == nullptr) return result;
  char here[PATH_MAX];
  const bool at_root = !own && real(getcwd)(here, sizeof here) != nullptr && here[1] == '\0';
  host->SetWorkingDirectory(own       ? std::optional(own.path)
                            : at_root ? std::optional(std::string())
                                      : std::nullopt);
  return 0;
}
VFIOLAB_INTERPOSED char* getcwd(char* to, size_t size) noexcept {
  Host* host = Host::Get();
  const auto own = host == nullptr ? std::nullopt : host->WorkingDirectory();
  if (!own || own->empty()) return real(getcwd)(to, size);
  if (to == nullptr) return ::strdup(own->c_str());
  if (own->size() >= size) return errno = ERANGE, nullptr;
  return std::strcpy(to, own->c_str());
}
