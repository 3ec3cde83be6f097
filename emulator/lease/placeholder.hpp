// The kernel's files behind descriptors of an emulated host, which keep their numbers. Their names
// tell other processes, which get them by fork, exec or over a socket, what they stand for.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>

#include "in_process/descriptors.hpp"

namespace vfiolab::lease {

struct Placeholder {
  // Of a file that its path says all about.
  std::string path;
  int flags = 0;
  // Of any other: in which lease it was opened, and its number there.
  u64 lease = 0;
  u64 number = 0;

  static Placeholder Of(const in_process::OpenDescription& opened, u64 lease);
  // Of a descriptor of a thread; nothing where it is another kind of file.
  static std::optional<Placeholder> Of(pid_t tid, int fd);
  // For memfd_create.
  std::string Name() const;
};

}  // namespace vfiolab::lease
