// What calls on paths have in common.
#pragma once
#include <string>

#include "preload/host.hpp"

namespace vfiolab::preload {

// The host and the path on it, when a call's path leads there.
struct Own {
  Host* host = nullptr;
  std::string path;
  explicit operator bool() const { return host != nullptr; }
};

Own Find(int directory, const char* path);

// A descriptor of the mirror's directory, as by open.
int OpenDirectory(const Own& own, int flags);

}  // namespace vfiolab::preload
