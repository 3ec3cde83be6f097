#include "in_process/own_space.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>

#include "in_process/own_caller.hpp"
#include "process/guarded_copy.hpp"
#include "process/mm.hpp"
#include "process/procmap.hpp"

namespace vfiolab::in_process {

void OwnSpace::OpenMaps() { maps_.Reset(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC)); }

OwnSpace::OwnSpace() {
  OpenMaps();
  ExpectFaults();
  RefreshLockLimit();
}

void OwnSpace::RefreshLockLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  lock_limit_ = limit.rlim_cur == RLIM_INFINITY ? ~u64{0} : limit.rlim_cur / kPageSize;
}

template <class Byte, class Copy, class Ask>
bool OwnSpace::Move(u64 at, std::span<Byte> bytes, Copy copy, Ask ask) {
  while (!bytes.empty()) {
    const Window* window = windows_.FirstIn(at, at + bytes.size() - 1);
    if (window == nullptr || !window->traps) return copy(at, bytes);
    const bool inside = window->first <= at;
    const u64 end = inside ? window->last + 1 : window->first;
    const auto part = bytes.first(std::min<u64>(bytes.size(), end - at));
    if (!(inside ? ask(*window, window->offset + (at - window->first), part) : copy(at, part)))
      return false;
    bytes = bytes.subspan(part.size());
    at += part.size();
  }
  return true;
}

bool OwnSpace::Read(ClientAddress from, std::span<std::byte> to) {
  const auto copy = [](u64 at, std::span<std::byte> part) {
    return GuardedCopy(part.data(), reinterpret_cast<const void*>(at), part.size());
  };
  if (windows_.empty()) return copy(Raw(from), to);
  return Move(Raw(from), to, copy, [](const Window& window, u64 at, std::span<std::byte> part) {
    Peer peer;
    return (window.protection & PROT_READ) != 0 && Moved(window.file->Load(peer, part, at));
  });
}

bool OwnSpace::Write(ClientAddress to, std::span<const std::byte> from) {
  const auto copy = [](u64 at, std::span<const std::byte> part) {
    return GuardedCopy(reinterpret_cast<void*>(at), part.data(), part.size());
  };
  if (windows_.empty()) return copy(Raw(to), from);
  return Move(
      Raw(to), from, copy, [](const Window& window, u64 at, std::span<const std::byte> part) {
        Peer peer;
        return (window.protection & PROT_WRITE) != 0 && Moved(window.file->Store(peer, part, at));
      });
}

u64 OwnSpace::PinnableAt(u64 at, u64 last, bool few, Permissions wanted) const {
  if (few) {
    const bool there = GuardedTouch(reinterpret_cast<std::byte*>(at), wanted.write);
    return there ? std::min(last, at | (kPageSize - 1)) - at + 1 : 0;
  }
  const Result<Vma> vma = FindVma(maps_.get(), at);
  if (!vma || vma->first > at || !(wanted.write ? vma->writable : vma->readable)) return 0;
  return std::min(last, vma->last) - at + 1;
}

Result<u64, AddressSpace::Unpinnable> OwnSpace::CheckPinnable(ClientAddress start, u64 length,
                                                              Permissions wanted) {
  // More are not touched one by one.
  constexpr u64 kFew = 16 * kPageSize;
  const u64 first = Raw(start), last = first + (length - 1);
  u64 counted = length;
  for (u64 at = first; at - first < length;) {
    const Window* window = windows_.FirstIn(at, last);
    const bool in_window = window != nullptr && window->first <= at;
    const u64 end = window == nullptr ? last
                    : in_window       ? std::min(window->last, last)
                                      : window->first - 1;
    const int needed = wanted.write ? PROT_WRITE : PROT_READ;
    u64 there = 0;
    if (!in_window) {
      there = PinnableAt(at, end, length <= kFew, wanted);
    } else if ((window->protection & needed) != 0 && window->file->shared_memory().answers) {
      there = end - at + 1;
      counted -= there;
    }
    if (there == 0)
      return Failure{Unpinnable{at - first - (length - counted),
                                Error{EFAULT, fmt::format("{:#x} cannot be pinned", at)}}};
    at += there;
  }
  return counted;
}

void OwnSpace::OnUnmap(u64 first, u64 last) {
  if (Pins::MayBeIn(first, last) && windows_.FirstIn(first, last) == nullptr)
    pins_.OnUnmap(maps_.get(), first, last);
}

Result<> OwnSpace::ChargeLocked(u64 pages) {
  if (pages == 0) return {};
  if (locked_pages_ + pages > lock_limit_) RefreshLockLimit();
  if (locked_pages_ + pages > lock_limit_ && !MayLockAll(::getpid()))
    return Fail(ENOMEM, fmt::format("{} pages more than RLIMIT_MEMLOCK allows ({} of {} in use)",
                                    pages, locked_pages_, lock_limit_));
  locked_pages_ += pages;
  return {};
}

}  // namespace vfiolab::in_process
