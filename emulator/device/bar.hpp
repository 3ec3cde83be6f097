// Bytes in, bytes out: what a BAR, or a region of a platform device, looks like from the bus.
#pragma once
#include <span>

#include "base/bytes.hpp"

namespace vfiolab {

using Offset = u64;  // from the start of a BAR

// What a client's loads and stores on a mapping of the BAR do. Only what has the declared effect
// may be mapped at all.
enum class BarMapping {
  kNone,    // cannot be mapped: every access is a call
  kMemory,  // plain memory, shared with the device
  kPoll,    // shared memory, of whose new words the device hears a little later
  kTrap,    // each access reaches the device as it happens
};

enum class BarSpace { kMemory32, kMemory64, kIo };

class BarHandler {
 public:
  virtual ~BarHandler() = default;
  // An access of 1, 2, 4 or 8 bytes, naturally aligned, inside the BAR.
  virtual void Read(Offset, std::span<std::byte>) = 0;
  virtual void Write(Offset, std::span<const std::byte>) = 0;
  virtual void Reset() = 0;
  // The bytes of a BAR that can be mapped; empty when it cannot.
  virtual std::span<std::byte> memory() { return {}; }
  // kPoll: this word of memory() is another one than before; of several stores to it, the last.
  // Heard before any call that the client makes after its store.
  virtual void OnStore(Offset, [[maybe_unused]] u32 word) {}
};

// The access widths, added up (1 + 2 + 4 + 8), that a BAR takes at an offset. Others read as zeros,
// of 8 bytes as ones, and write nothing.
using WidthsAt = unsigned (*)(Offset);

inline bool TakesWidth(WidthsAt widths, Offset at, std::size_t width) {
  return widths == nullptr || (widths(at) & width) != 0;
}

struct BarSpec {
  u64 size;  // a power of two; memory BARs from 16, I/O BARs from 4 to 256
  BarSpace space = BarSpace::kMemory32;
  bool prefetchable = false;
  BarMapping mapping = BarMapping::kTrap;  // kNone for an I/O BAR
  WidthsAt widths = nullptr;               // null: any

  bool Takes(Offset at, std::size_t width) const { return TakesWidth(widths, at, width); }
};

}  // namespace vfiolab
