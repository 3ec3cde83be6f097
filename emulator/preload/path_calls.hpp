// What calls on paths have in common.
#pragma once
#include <string>

#include "preload/host.hpp"

namespace vfiolab::preload {

// Where a call's path leads: to the emulated host, or to the real one.
struct Own {
  Host* host = nullptr;  // null: the real one
  std::string path;
  explicit operator bool() const { return host != nullptr; }
  // What the real host is to be asked for, where the call said `given`.
  const char* Real(const char* given) const { return path.empty() ? given : path.c_str(); }
};

Own Find(int directory, const char* path);

// A descriptor of the mirror's directory, as by open.
int OpenDirectory(const Own& own, int flags);

}  // namespace vfiolab::preload
