// What the ioctls' arguments point to. Nobody ever gave these calls numbers: both are ours.
#pragma once
#include "base/bytes.hpp"

namespace vfiolab::august {

inline constexpr u64 kGroupViable = 1, kGroupBound = 2, kGroupOwner = 4;

struct DmaMap {
  u64 address, iova, size, flags;
};
inline constexpr u64 kMapWrite = 1;

struct DeviceInfo {
  u32 flags, regions, irqs, reserved;
};
inline constexpr u32 kDeviceReset = 1, kDevicePci = 2, kDevicePlatform = 4;

struct RegionInfo {
  u32 index, flags;
  u64 size, offset;
};
inline constexpr u32 kRegionMmap = 1, kRegionReadOnly = 2;

struct IrqInfo {
  u32 index, count, flags, reserved;
};
inline constexpr u32 kIrqLevel = 1;

}  // namespace vfiolab::august
