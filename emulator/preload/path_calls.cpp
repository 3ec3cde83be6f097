#include "preload/path_calls.hpp"

#include <fcntl.h>

#include "preload/answer.hpp"
#include "preload/real.hpp"

namespace vfiolab::preload {

Own Find(int directory, const char* path) {
  Host* host = path == nullptr || (*path == '/' && !MayBeOwn(path)) ? nullptr : Host::Get();
  if (host == nullptr) return {};
  auto [is_own, place] = host->Locate(directory, path);
  return {is_own ? host : nullptr, std::move(place)};
}

int OpenDirectory(const Own& own, int flags) {
  const Result<std::string> mirror = own.host->Mirror(own.path);
  if (!mirror) return static_cast<int>(Answer(mirror));
  const int fd = real(open64)(mirror->c_str(), flags);
  if (fd >= 0) own.host->AddDirectory(fd, own.path);
  return fd;
}

}  // namespace vfiolab::preload
