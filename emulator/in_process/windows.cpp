#include "in_process/windows.hpp"

#include <algorithm>
#include <vector>

namespace vfiolab::in_process {
namespace {

Window Part(Window window, u64 first, u64 last) {
  window.offset += first - window.first;
  window.first = first, window.last = last;
  return window;
}

}  // namespace

const Window* Windows::Find(u64 address) const { return FirstIn(address, address); }

const Window* Windows::FirstIn(u64 first, u64 last) const {
  auto it = windows_.upper_bound(first);
  if (it != windows_.begin() && std::prev(it)->second.last >= first) --it;
  return it != windows_.end() && it->first <= last ? &it->second : nullptr;
}

void Windows::Remove(u64 first, u64 last) {
  while (const Window* found = FirstIn(first, last)) {
    const Window window = windows_.extract(found->first).mapped();
    if (window.first < first) Add(Part(window, window.first, first - 1));
    if (window.last > last) Add(Part(window, last + 1, window.last));
  }
}

void Windows::Protect(u64 first, u64 last, int protection) {
  std::vector<Window> parts;
  for (u64 at = first; const Window* found = FirstIn(at, last); at = found->last + 1) {
    parts.push_back(Part(*found, std::max(found->first, first), std::min(found->last, last)));
    if (found->last >= last) break;
  }
  for (Window& part : parts) {
    Remove(part.first, part.last);
    part.protection = protection;
    Add(std::move(part));
  }
}

}  // namespace vfiolab::in_process
