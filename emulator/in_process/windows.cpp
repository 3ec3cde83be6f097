#include "in_process/windows.hpp"

#include <algorithm>

namespace vfiolab::in_process {

const Window* Windows::Find(u64 address) const { return FirstIn(address, address); }

const Window* Windows::FirstIn(u64 first, u64 last) const {
  auto it = windows_.upper_bound(first);
  if (it != windows_.begin() && std::prev(it)->second.last >= first) --it;
  return it != windows_.end() && it->first <= last ? &it->second : nullptr;
}

void Windows::Remove(u64 first, u64 last) {
  while (const Window* found = FirstIn(first, last)) {
    const Window window = windows_.extract(found->first).mapped();
    if (window.first < first) {
      Window before = window;
      before.last = first - 1;
      Add(std::move(before));
    }
    if (window.last > last) {
      Window after = window;
      after.first = last + 1;
      after.offset += after.first - window.first;
      Add(std::move(after));
    }
  }
}

}  // namespace vfiolab::in_process
