// The inodes that the kernel knows of.
#pragma once
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "vfs/node.hpp"

namespace vfiolab {

// Numbers nodes for the kernel. Some get a new inode with each look-up: a device node, so that an
// inode mostly stands for one open file and a descriptor tells which; and a text that can
// be written, because writers of one inode wait for each other in the kernel, where nothing ends
// that, and a write to `unbind` may take for ever.
class FuseInodes {
 public:
  struct Inode {
    u64 number;
    std::shared_ptr<Node> node;
    std::string path;
    u64 lookups = 0;  // references that the kernel holds
    // Of a device node more than one where clients have opened it anew, through /proc/PID/fd.
    std::vector<std::weak_ptr<OpenFile>> opens;
    std::vector<std::shared_ptr<OpenFile>> Opened() const;  // those that are open still
  };

  static constexpr u64 kRoot = 1;
  static bool IsNewEachTime(const Node& node);
  explicit FuseInodes(std::shared_ptr<Directory> root);

  // Null for a number that is not (or no longer) known.
  Inode* Find(u64 number);
  // The inode of the entry `name`; null when there is none. Counts a look-up.
  Inode* Lookup(Inode& parent, const std::string& name);
  void Forget(u64 number, u64 lookups);
  // The numbers of all inodes of a node.
  std::vector<u64> NumbersOf(const Node& node) const;

  std::size_t size() const { return inodes_.size(); }

 private:
  std::unordered_map<u64, Inode> inodes_;
  std::unordered_map<const Node*, u64> stable_;
  u64 last_number_ = kRoot;
};

}  // namespace vfiolab
