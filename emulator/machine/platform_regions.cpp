#include "machine/platform_regions.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "machine/bus_unit.hpp"

namespace vfiolab {
namespace {

constexpr std::size_t kWidestCall = 4;  // of the kernel's own accesses
constexpr std::size_t kWidestLoad = 8;  // of a processor's

unsigned RegionAt(u64 offset) { return static_cast<unsigned>(offset >> kRegionShift); }

}  // namespace

u64 PlatformRegions::Size(u64 region) const {
  return region < count() ? slot_.device().regions()[region].spec.size : 0;
}

bool PlatformRegions::CanMap(u64 region, const CallContext& caller) const {
  if (region >= count()) return false;
  // Each begins at a page, so its size decides.
  const RegionSpec& spec = slot_.device().regions()[region].spec;
  return spec.mapping != BarMapping::kNone && spec.size % kPageSize == 0 &&
         slot_.shared_memory_fd() >= 0 && caller.can_map_regions() &&
         (spec.mapping != BarMapping::kTrap || caller.can_trap());
}

Result<std::size_t> PlatformRegions::CheckAccess(u64 offset, std::size_t wanted) const {
  const u64 region = offset >> kRegionShift, at = offset & kRegionOffsetMask;
  if (region >= count()) return Fail(EINVAL, fmt::format("no region {}", region));
  const u64 size = Size(region);
  if (at >= size) return Fail(EINVAL, fmt::format("{:#x} in a region of {:#x}", at, size));
  return std::min<std::size_t>(wanted, size - at);
}

Reply PlatformRegions::Read(CallContext& caller, std::span<std::byte> to, u64 offset) {
  to = to.first(TRY(CheckAccess(offset, to.size())));
  const auto read = [&](u64 at, std::span<std::byte> part) {
    slot_.ReadRegion(RegionAt(offset), at, part);
    return caller.ToClient(part);
  };
  TRY(InUnits(to, offset & kRegionOffsetMask, kWidestCall, read));
  return static_cast<long>(to.size());
}

Reply PlatformRegions::Write(CallContext& caller, std::span<const std::byte> from, u64 offset) {
  from = from.first(TRY(CheckAccess(offset, from.size())));
  const auto write = [&](u64 at, std::span<const std::byte> part) -> Result<> {
    TRY(caller.FromClient(part));
    slot_.WriteRegion(RegionAt(offset), at, part);
    return {};
  };
  TRY(InUnits(from, offset & kRegionOffsetMask, kWidestCall, write));
  return static_cast<long>(from.size());
}

// A processor reaches what the bus has there; no driver is asked.
Result<> PlatformRegions::CheckOnBus(u64 offset, std::size_t count) const {
  const auto inside = CheckAccess(offset, count);
  if (inside && *inside == count) return {};
  return Fail(EIO, fmt::format("no region has {} bytes at {:#x}", count, offset));
}

Reply PlatformRegions::Load(std::span<std::byte> to, u64 offset) {
  TRY(CheckOnBus(offset, to.size()));
  const auto load = [&](u64 at, std::span<std::byte> part) -> Result<> {
    slot_.ReadRegion(RegionAt(offset), at, part);
    return {};
  };
  TRY(InUnits(to, offset & kRegionOffsetMask, kWidestLoad, load));
  return static_cast<long>(to.size());
}

Reply PlatformRegions::Store(std::span<const std::byte> from, u64 offset) {
  TRY(CheckOnBus(offset, from.size()));
  const auto store = [&](u64 at, std::span<const std::byte> part) -> Result<> {
    slot_.WriteRegion(RegionAt(offset), at, part);
    return {};
  };
  TRY(InUnits(from, offset & kRegionOffsetMask, kWidestLoad, store));
  return static_cast<long>(from.size());
}

Result<u64> PlatformRegions::Mmap(CallContext& caller, const MmapRequest& request) const {
  const u64 region = request.offset >> kRegionShift, at = request.offset & kRegionOffsetMask;
  if (!request.shared) return Fail(EINVAL, "regions are mapped MAP_SHARED or not at all");
  if (!CanMap(region, caller))
    return Fail(EINVAL, fmt::format("region {} cannot be mapped", region));
  const u64 size = Size(region);
  const u64 length = (request.length + kPageSize - 1) & ~(kPageSize - 1);
  if (at >= size || length > size - at)
    return Fail(EINVAL, fmt::format("{:#x} + {:#x} of {:#x}", at, request.length, size));
  return request.offset;
}

}  // namespace vfiolab
