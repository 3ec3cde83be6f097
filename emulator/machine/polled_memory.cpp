#include "machine/polled_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "machine/machine.hpp"

namespace vfiolab {

PolledMemory::PolledMemory(Machine& machine, const DeviceMemory& memory, BarHandler& region,
                           std::string name)
    : machine_(machine),
      region_(region),
      name_(std::move(name)),
      words_(region.memory()),
      known_(words_.begin(), words_.end()),
      watch_(machine.environment().WatchMemory(memory, [this] { return HasChanged(); })) {
  machine_.AddPolled(*this);
}

PolledMemory::~PolledMemory() { machine_.RemovePolled(*this); }

// Half a store, or half of what Hear() notes, makes one look in vain, or is seen at the next.
bool PolledMemory::HasChanged() const {
  return std::memcmp(words_.data(), known_.data(), words_.size()) != 0;
}

void PolledMemory::Hear() {
  constexpr std::size_t kBlock = 256;
  for (std::size_t from = 0; from < words_.size(); from += kBlock) {
    const std::size_t end = std::min(from + kBlock, words_.size());
    if (std::memcmp(words_.data() + from, known_.data() + from, end - from) == 0) continue;
    for (std::size_t at = from; at < end; at += sizeof(u32)) HearWord(at);
  }
}

void PolledMemory::HearWord(std::size_t at) {
  auto& shared = *reinterpret_cast<u32*>(words_.data() + at);
  const u32 word = std::atomic_ref(shared).load(std::memory_order_acquire);
  if (std::memcmp(known_.data() + at, &word, sizeof word) == 0) return;
  std::memcpy(known_.data() + at, &word, sizeof word);
  machine_.trace().Input([&] {
    return fmt::format("memory {}+{:#x} {}", name_, at, Hex(std::as_bytes(std::span{&word, 1})));
  });
  region_.OnStore(at, word);
}

void PolledMemory::Forget() { std::memcpy(known_.data(), words_.data(), words_.size()); }

}  // namespace vfiolab
