#include "august/platform_device.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "machine/bus_unit.hpp"
#include "machine/machine.hpp"

namespace vfiolab::august {
namespace {

constexpr std::size_t kWidestCall = 4, kWidestLoad = 8;

u32 RegionOf(u64 offset) { return static_cast<u32>(offset >> kRegionShift); }
u64 InRegion(u64 offset) { return offset & kRegionOffsetMask; }

}  // namespace

void PlatformDevice::OnOpen() {
  lines_.resize(irqs());
  slot_.set_interrupt_sink(this);
  if (slot_.has_reset()) slot_.Reset();
}

void PlatformDevice::OnClose() {
  if (slot_.has_reset()) slot_.Reset();
  slot_.set_interrupt_sink(nullptr);
  lines_.clear();
}

u64 PlatformDevice::RegionSize(u32 region) const {
  return region < regions() ? slot_.device().regions()[region].spec.size : 0;
}

bool PlatformDevice::CanMap(CallContext& caller, u32 region) const {
  if (region >= regions() || slot_.shared_memory_fd() < 0 || !caller.can_map_regions())
    return false;
  const RegionSpec& spec = slot_.device().regions()[region].spec;
  return spec.size % kPageSize == 0 && spec.mapping != BarMapping::kNone &&
         (spec.mapping != BarMapping::kTrap || caller.can_trap());
}

Result<std::size_t> PlatformDevice::CheckAccess(u64 offset, std::size_t count) const {
  const u64 size = RegionSize(RegionOf(offset)), at = InRegion(offset);
  if (at >= size) return Fail(EINVAL, fmt::format("{:#x} in a region of {:#x}", at, size));
  return std::min<std::size_t>(count, size - at);
}

Result<> PlatformDevice::CheckOnBus(u64 offset, std::size_t count) const {
  const auto inside = CheckAccess(offset, count);
  if (inside && *inside == count) return {};
  return Fail(EIO, fmt::format("no region has {} bytes at {:#x}", count, offset));
}

Reply PlatformDevice::Read(CallContext& caller, std::span<std::byte> to, u64 offset) {
  to = to.first(TRY(CheckAccess(offset, to.size())));
  TRY(InUnits(to, InRegion(offset), kWidestCall, [&](u64 at, std::span<std::byte> part) {
    slot_.ReadRegion(RegionOf(offset), at, part);
    return caller.ToClient(part);
  }));
  return static_cast<long>(to.size());
}

Reply PlatformDevice::Write(CallContext& caller, std::span<const std::byte> from, u64 offset) {
  from = from.first(TRY(CheckAccess(offset, from.size())));
  const auto write = [&](u64 at, std::span<const std::byte> part) -> Result<> {
    TRY(caller.FromClient(part));
    slot_.WriteRegion(RegionOf(offset), at, part);
    return {};
  };
  TRY(InUnits(from, InRegion(offset), kWidestCall, write));
  return static_cast<long>(from.size());
}

Reply PlatformDevice::Load(std::span<std::byte> to, u64 offset) {
  TRY(CheckOnBus(offset, to.size()));
  const auto load = [&](u64 at, std::span<std::byte> part) -> Result<> {
    slot_.ReadRegion(RegionOf(offset), at, part);
    return {};
  };
  TRY(InUnits(to, InRegion(offset), kWidestLoad, load));
  return static_cast<long>(to.size());
}

Reply PlatformDevice::Store(std::span<const std::byte> from, u64 offset) {
  TRY(CheckOnBus(offset, from.size()));
  const auto store = [&](u64 at, std::span<const std::byte> part) -> Result<> {
    slot_.WriteRegion(RegionOf(offset), at, part);
    return {};
  };
  TRY(InUnits(from, InRegion(offset), kWidestLoad, store));
  return static_cast<long>(from.size());
}

Result<> PlatformDevice::CheckMmap(CallContext& caller, const MmapRequest& request) {
  const u32 region = RegionOf(request.offset);
  const u64 at = InRegion(request.offset), size = RegionSize(region);
  if (!request.shared) return Fail(EINVAL, "regions are mapped MAP_SHARED or not at all");
  if (!CanMap(caller, region) || at >= size || request.length > size - at)
    return Fail(EINVAL, fmt::format("{:#x} + {:#x} of region {}", at, request.length, region));
  return {};
}

void PlatformDevice::Signal(unsigned irq) {
  if (!lines_[irq].eventfd) return;
  slot_.machine().trace().Output(
      [&] { return fmt::format("eventfd {} irq {}", slot_.name(), irq); });
  lines_[irq].eventfd->Signal();
}

void PlatformDevice::OnLevel(unsigned irq, bool asserted) {
  Line& line = lines_[irq];
  if (!asserted || line.masked || !line.eventfd) return;
  line.masked = true;
  Signal(irq);
}

Result<> PlatformDevice::SetEventfds(CallContext& caller, u32 index, u32 count, ClientAddress fds) {
  if (count > 1) return Fail(EINVAL, "each index has one interrupt");
  const int fd = count == 0 ? -1 : TRY(caller.memory().Load<int>(fds));
  Line& line = lines_[index];
  line = {};
  if (count == 0) return {};
  if (fd < 0) return Fail(EINVAL, fmt::format("descriptor {}", fd));
  line.eventfd.emplace(TRY(caller.ImportEventfd(fd)));
  if (IsLevel(index)) OnLevel(index, slot_.asserted(index));
  return {};
}

Result<> PlatformDevice::Unmask(u32 index) {
  if (index >= irqs() || !IsLevel(index))
    return Fail(EINVAL, fmt::format("index {} is not masked", index));
  lines_[index].masked = false;
  OnLevel(index, slot_.asserted(index));
  return {};
}

}  // namespace vfiolab::august
