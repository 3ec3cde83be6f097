#include "transport/fuse_inodes.hpp"

namespace vfiolab {

FuseInodes::FuseInodes(std::shared_ptr<Directory> root) {
  inodes_.emplace(kRoot, Inode{kRoot, std::move(root), "", 1, {}});
}

bool FuseInodes::IsNewEachTime(const Node& node) {
  if (dynamic_cast<const DeviceNode*>(&node) != nullptr) return true;
  return dynamic_cast<const TextFile*>(&node) != nullptr && (node.mode() & 0222) != 0;
}

FuseInodes::Inode* FuseInodes::Find(u64 number) {
  const auto it = inodes_.find(number);
  return it == inodes_.end() ? nullptr : &it->second;
}

FuseInodes::Inode* FuseInodes::Lookup(Inode& parent, const std::string& name) {
  const auto* directory = dynamic_cast<const Directory*>(parent.node.get());
  auto node = directory != nullptr ? directory->Lookup(name) : nullptr;
  if (node == nullptr) return nullptr;
  const bool fresh = IsNewEachTime(*node);
  if (!fresh) {
    if (const auto known = stable_.find(node.get()); known != stable_.end()) {
      Inode& inode = inodes_.at(known->second);
      ++inode.lookups;
      return &inode;
    }
  }
  const u64 number = ++last_number_;
  if (!fresh) stable_.emplace(node.get(), number);
  std::string path = parent.path + "/" + name;
  const auto [it, added] =
      inodes_.emplace(number, Inode{number, std::move(node), std::move(path), 1, {}});
  return &it->second;
}

std::vector<std::shared_ptr<OpenFile>> FuseInodes::Inode::Opened() const {
  std::vector<std::shared_ptr<OpenFile>> files;
  for (const auto& open : opens)
    if (auto file = open.lock()) files.push_back(std::move(file));
  return files;
}

std::vector<u64> FuseInodes::NumbersOf(const Node& node) const {
  std::vector<u64> numbers;
  for (const auto& [number, inode] : inodes_)
    if (inode.node.get() == &node) numbers.push_back(number);
  return numbers;
}

void FuseInodes::Forget(u64 number, u64 lookups) {
  const auto it = inodes_.find(number);
  if (it == inodes_.end() || number == kRoot) return;
  Inode& inode = it->second;
  inode.lookups -= std::min(lookups, inode.lookups);
  if (inode.lookups > 0) return;
  stable_.erase(inode.node.get());
  inodes_.erase(it);
}

}  // namespace vfiolab
