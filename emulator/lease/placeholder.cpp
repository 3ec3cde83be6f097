#include "lease/placeholder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <string_view>

namespace vfiolab::lease {
namespace {

constexpr std::size_t kLongestName = 249;  // mm/memfd.c MFD_NAME_MAX_LEN

}  // namespace

std::string Placeholder::Name() const {
  if (!path.empty()) return fmt::format("vfiolab:{:o}:{}", flags, path);
  return fmt::format("vfiolab:{:x}:{:x}", lease, number);
}

Placeholder Placeholder::Of(const in_process::OpenDescription& opened, u64 lease) {
  Placeholder here{
      .path = opened.path, .flags = opened.flags, .lease = lease, .number = opened.number};
  if (!opened.file->is_regular() || here.Name().size() > kLongestName) here.path.clear();
  return here;
}

std::optional<Placeholder> Placeholder::Of(pid_t tid, int fd) {
  char link[PATH_MAX] = {};
  const ssize_t size =
      ::readlink(fmt::format("/proc/{}/fd/{}", tid, fd).c_str(), link, sizeof link - 1);
  constexpr std::string_view kBefore = "/memfd:vfiolab:", kBehind = " (deleted)";
  std::string_view name(link, size < 0 ? 0 : static_cast<std::size_t>(size));
  if (!name.starts_with(kBefore) || !name.ends_with(kBehind)) return std::nullopt;
  name.remove_suffix(kBehind.size());
  name.remove_prefix(kBefore.size());
  Placeholder found;
  const std::size_t colon = name.find(':');
  if (colon == name.npos) return std::nullopt;
  const std::string text(name);
  if (text[colon + 1] == '/') {
    found.path = text.substr(colon + 1);
    return std::sscanf(text.c_str(), "%o", reinterpret_cast<unsigned*>(&found.flags)) == 1
               ? std::optional(found)
               : std::nullopt;
  }
  unsigned long lease = 0, number = 0;
  if (std::sscanf(text.c_str(), "%lx:%lx", &lease, &number) != 2) return std::nullopt;
  found.lease = lease, found.number = number;
  return found;
}

}  // namespace vfiolab::lease
