// How an access to a region is cut into accesses of a bus.
#pragma once
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace vfiolab {

// The first of `left` bytes that one access takes: naturally aligned, at most `widest` bytes.
inline std::size_t BusUnit(u64 at, std::size_t left, std::size_t widest) {
  for (std::size_t length = widest; length > 1; length /= 2)
    if (left >= length && at % length == 0) return length;
  return 1;
}

// Calls access(at, part) for each of them in turn, until one fails.
template <class Byte, class Access>
Result<> InUnits(std::span<Byte> bytes, u64 at, std::size_t widest, Access access) {
  while (!bytes.empty()) {
    const auto part = bytes.first(BusUnit(at, bytes.size(), widest));
    TRY(access(at, part));
    bytes = bytes.subspan(part.size());
    at += part.size();
  }
  return {};
}

}  // namespace vfiolab
