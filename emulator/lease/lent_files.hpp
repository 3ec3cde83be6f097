// Open files that other processes may have, too. Each stays open until no process has its
// descriptor any more, which the kernel tells: whoever got it by fork, exec or over a socket.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "in_process/descriptors.hpp"

namespace vfiolab::lease {

class LentFiles {
 public:
  using Shared = in_process::Descriptors::Shared;

  bool empty() const { return files_.empty(); }
  // Where the kernel tells; -1: nothing was lent yet.
  int fd() const { return watches_.get(); }
  // Before the first, as a child of vfork that adds some could not.
  void Begin();
  // `fd` is any descriptor of the file's. Nothing where it is lent already.
  void Add(const Shared& opened, int fd);
  // By its number; null: it is not lent.
  Shared Find(u64 number) const;
  // 0: it is not lent.
  u64 NumberOf(const OpenFile& file) const;
  // Those that have come back.
  std::vector<Shared> TakeReturned();

 private:
  UniqueFd watches_;
  std::map<u64, Shared> files_;
  std::map<int, u64> numbers_;  // by watch
};

}  // namespace vfiolab::lease
