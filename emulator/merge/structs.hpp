// What the ioctls' arguments point to. Revisions B0 and B1 begin with a length, if at all, B2 and
// B3 with argsz and flags.
#pragma once
#include "base/bytes.hpp"

namespace vfiolab::merge {

inline constexpr u32 kGroupViable = 1, kGroupMmLocked = 2;
inline constexpr u64 kIommuMapAny = 1;
inline constexpr u32 kRegionMmap = 1, kRegionReadOnly = 2;
inline constexpr u32 kIrqLevel = 1;
inline constexpr u32 kRegions = 8, kIrqs = 3;

namespace october {  // B0 and B1

inline constexpr u64 kMapWrite = 1;
inline constexpr u64 kDevicePci = 1, kDeviceReset = 4;

struct DmaMap {
  u64 length, address, iova, size, flags;
};
struct RegionInfo {
  u32 length, index;
  u64 size, offset, flags, physical;
};
// The last word is there, but need not be given.
inline constexpr u32 kShortestRegionInfo = 32;
struct IrqInfoB0 {
  u32 length, index, count, padding;
  u64 flags;
};
using U64Of32Bit [[gnu::aligned(4)]] = u64;
struct IrqInfoB0Of32Bit {
  u32 length, index, count;
  U64Of32Bit flags;
};
struct IrqInfo {
  u32 length, index, count, flags;
};

}  // namespace october

inline constexpr u32 kMapRead = 1, kMapWrite = 2;
inline constexpr u32 kDeviceReset = 1, kDevicePci = 2;

struct GroupInfo {
  u32 argsz, flags;
};
struct IommuInfo {
  u32 argsz, flags;
  u64 iova_max, iova_min, page_sizes;
};
struct IommuInfoB3 {
  u32 argsz, flags;
  u64 iova_start, iova_size, iova_entries, page_sizes;
};
struct DmaMap {
  u32 argsz, flags;
  u64 address, iova, size;
};
struct DmaUnmap {
  u32 argsz, flags;
  u64 iova, size;
};
struct DeviceInfo {
  u32 argsz, flags, regions, irqs;
};
struct RegionInfo {
  u32 argsz, flags, index, reserved;
  u64 size, offset;
};
struct IrqInfo {
  u32 argsz, flags, index, count;
};
// `count` descriptors follow.
struct IrqEventfds {
  u32 argsz, flags, index, count;
};
struct UnmaskIrq {
  u32 argsz, flags, index, subindex;
};

}  // namespace vfiolab::merge
