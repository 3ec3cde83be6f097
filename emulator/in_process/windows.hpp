// Where files of devices are mapped in this process.
#pragma once
#include <algorithm>
#include <map>
#include <memory>

#include "base/address.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::in_process {

struct Window {
  u64 first, last;  // inside
  std::shared_ptr<OpenFile> file;
  u64 offset;  // of the first byte, in the file's shared memory
  int protection;
  bool traps;  // each access faults, and is made by the file
};

class Windows {
 public:
  bool empty() const { return windows_.empty(); }
  bool Has(const OpenFile& file) const {
    return std::ranges::any_of(windows_,
                               [&](const auto& at) { return at.second.file.get() == &file; });
  }
  const std::map<u64, Window>& all() const { return windows_; }
  // The one that covers the address; null: none.
  const Window* Find(u64 address) const;
  // The first that has a byte in [first, last]; null: none.
  const Window* FirstIn(u64 first, u64 last) const;
  void Add(Window window) { windows_.emplace(window.first, std::move(window)); }
  // What lies in [first, last] is no window any more; parts of others stay.
  void Remove(u64 first, u64 last);
  void Protect(u64 first, u64 last, int protection);

 private:
  std::map<u64, Window> windows_;  // by first
};

}  // namespace vfiolab::in_process
