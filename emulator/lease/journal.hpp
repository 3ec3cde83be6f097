// What has been changed on an emulated host for good: bindings of drivers, virtual functions, modes
// of nodes. It is the writes themselves, one behind the other in a file, from which each process
// brings a host of its own up to date.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/unique_fd.hpp"
#include "vfs/node.hpp"

namespace vfiolab::lease {

class Journal {
 public:
  struct Entry {
    std::string path;
    // What was written there.
    std::vector<std::byte> text;
    u64 offset = 0;
    // Or how the node was changed.
    bool is_attributes = false;
    std::optional<mode_t> mode;
    DeviceNode::Owner owner;
  };

  // `directory` is one that all processes share.
  explicit Journal(const std::string& directory);

  // A number that all processes have in common, and no others.
  u64 seed() const { return seed_; }
  // By whoever has the lease.
  void Append(const Entry& entry);
  // Those that have come since the last time, but for this process's own.
  void Read(const std::function<void(const Entry&)>& take);

 private:
  UniqueFd file_;
  u64 seed_ = 0;
  off_t read_ = 0;
};

}  // namespace vfiolab::lease
