// Which paths lead to the emulated host, and what they name there.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "in_process/path_walk.hpp"

namespace vfiolab::preload {

// Whether a path may lead to the emulated host at all: quick, and says yes too often.
inline bool MayBeOwn(std::string_view path) {
  return path.starts_with("/dev") || path.starts_with("/sys");
}

enum class Whose {
  kHost,    // the host's own
  kOwn,     // of the emulated host, or nobody's where that hides what the host has
  kShared,  // a directory that both have
};

// Of a path without links, "." and "..".
Whose WhoseIs(const Directory& root, std::string_view path);

// An absolute path as the emulated host knows it: links are followed, but for one at the end.
// Nothing where it leads to what is the host's own.
std::optional<std::string> OwnPath(const std::shared_ptr<Directory>& root, std::string_view path);

}  // namespace vfiolab::preload
