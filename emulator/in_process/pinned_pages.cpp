#include "in_process/pinned_pages.hpp"

#include <sys/mman.h>

#include <algorithm>

#include "process/guarded_copy.hpp"
#include "process/procmap.hpp"

namespace vfiolab::in_process {
namespace {

void* Pointer(u64 address) { return reinterpret_cast<void*>(address); }

// One mapping of the kernel's after the other: it moves no more at once.
void MoveInto(KeptMemory& memory, int maps) {
  for (u64 at = memory.first; at <= memory.last;) {
    const Result<Vma> vma = FindVma(maps, at);
    if (!vma || vma->first > memory.last) return;
    const u64 first = std::max(at, vma->first), last = std::min(vma->last, memory.last);
    const u64 size = last - first + 1;
    ::mremap(Pointer(first), size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
             memory.at + (first - memory.first));
    at = last + 1;
  }
}

}  // namespace

KeptMemory::KeptMemory(u64 from, u64 to) : first(from), last(to) {
  void* room =
      ::mmap(nullptr, to - from + 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  at = room == MAP_FAILED ? nullptr : static_cast<std::byte*>(room);
}

KeptMemory::~KeptMemory() {
  if (at != nullptr) ::munmap(at, last - first + 1);
}

std::shared_ptr<Pages> Pins::Add(std::shared_ptr<Pages> space, ClientAddress start, u64 length) {
  const u64 first = Raw(start), last = first + (length - 1);
  if (first < lowest) lowest = first;
  if (last > highest) highest = last;
  return std::make_shared<PinnedPages>(*this, std::move(space), first, last);
}

void Pins::OnUnmap(int maps, u64 first, u64 last) {
  // From the first page that is pinned to the last: what lies between goes, too, and comes to
  // nothing.
  u64 from = ~u64{0}, to = 0;
  for (const Pin& pin : all_) {
    const u64 begin = std::max(first, pin.first & ~(kPageSize - 1));
    const u64 end = std::min(last, pin.last | (kPageSize - 1));
    if (begin > end || !pin.pages->HasStillOneOf(begin, end)) continue;
    from = std::min(from, begin);
    to = std::max(to, end);
  }
  if (from > to) return;
  const auto memory = std::make_shared<KeptMemory>(from, to);
  if (memory->at == nullptr) return;
  MoveInto(*memory, maps);
  for (const Pin& pin : all_)
    if (pin.first <= to && pin.last >= from) pin.pages->Keep(memory);
}

PinnedPages::PinnedPages(Pins& pins, std::shared_ptr<Pages> space, u64 first, u64 last)
    : pins_(pins), index_(pins.all_.size()), space_(std::move(space)) {
  pins_.all_.push_back({first, last, this});
}

PinnedPages::~PinnedPages() {
  pins_.all_[index_] = pins_.all_.back();
  pins_.all_[index_].pages->index_ = index_;
  pins_.all_.pop_back();
}

PinnedPages::Kept::const_iterator PinnedPages::Find(u64 at) const {
  return std::ranges::find_if(
      kept_, [&](const auto& memory) { return memory->first <= at && at <= memory->last; });
}

bool PinnedPages::HasStillOneOf(u64 first, u64 last) const {
  for (u64 at = first; at <= last;) {
    const auto kept = Find(at);
    if (kept == kept_.end()) return true;
    at = (*kept)->last + 1;
  }
  return false;
}

// Part by part: each is in memory that was kept, or where it has always been.
template <class Byte, class Ask>
bool PinnedPages::Move(u64 at, std::span<Byte> bytes, Ask ask) {
  while (!bytes.empty()) {
    const auto kept = Find(at);
    u64 last = at + (bytes.size() - 1);
    if (kept != kept_.end()) last = std::min(last, (*kept)->last);
    // An earlier one may begin within.
    for (auto earlier = kept_.cbegin(); earlier != kept; ++earlier)
      if ((*earlier)->first > at) last = std::min(last, (*earlier)->first - 1);
    const auto part = bytes.first(last - at + 1);
    const std::byte* there = kept == kept_.end() ? nullptr : (*kept)->at + (at - (*kept)->first);
    if (!ask(at, there, part)) return false;
    bytes = bytes.subspan(part.size());
    at = last + 1;
  }
  return true;
}

bool PinnedPages::Read(ClientAddress from, std::span<std::byte> to) {
  if (kept_.empty()) return space_->Read(from, to);
  return Move(Raw(from), to, [&](u64 at, const std::byte* there, std::span<std::byte> part) {
    return there == nullptr ? space_->Read(ClientAddress{at}, part)
                            : GuardedCopy(part.data(), there, part.size());
  });
}

bool PinnedPages::Write(ClientAddress to, std::span<const std::byte> from) {
  if (kept_.empty()) return space_->Write(to, from);
  return Move(Raw(to), from, [&](u64 at, const std::byte* there, std::span<const std::byte> part) {
    return there == nullptr ? space_->Write(ClientAddress{at}, part)
                            : GuardedCopy(const_cast<std::byte*>(there), part.data(), part.size());
  });
}

}  // namespace vfiolab::in_process
