// Addresses of different spaces are different types and never convert silently.
#pragma once
#include <optional>

#include "base/bytes.hpp"

namespace vfiolab {

enum class Iova : u64 {};           // what a device puts on the bus
enum class ClientAddress : u64 {};  // a pointer in a client process; never dereferenced here

constexpr u64 Raw(Iova a) { return static_cast<u64>(a); }
constexpr u64 Raw(ClientAddress a) { return static_cast<u64>(a); }
constexpr Iova operator+(Iova a, u64 n) { return Iova{Raw(a) + n}; }
constexpr ClientAddress operator+(ClientAddress a, u64 n) { return ClientAddress{Raw(a) + n}; }

// [first, last], both inside, as the kernel's interface states ranges: it cannot wrap and can
// reach the end of the address space.
struct IovaRange {
  u64 first;
  u64 last;

  // Nothing when size is 0 or the range would wrap.
  static constexpr std::optional<IovaRange> Of(u64 first, u64 size) {
    if (size == 0 || first + (size - 1) < first) return std::nullopt;
    return IovaRange{first, first + (size - 1)};
  }
  constexpr bool Contains(IovaRange other) const {
    return first <= other.first && other.last <= last;
  }
  constexpr bool Overlaps(IovaRange other) const {
    return first <= other.last && other.first <= last;
  }
  constexpr bool operator==(const IovaRange&) const = default;
};

enum class Access : u8 { kRead = 1, kWrite = 2 };  // as seen by the device

struct Permissions {
  bool read = false;
  bool write = false;
  constexpr bool Allow(Access access) const { return access == Access::kRead ? read : write; }
  constexpr bool operator==(const Permissions&) const = default;
};

}  // namespace vfiolab
