#include "early/regions.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>

#include "machine/bus_unit.hpp"
#include "machine/machine.hpp"

namespace vfiolab::early {
namespace {

constexpr bool IsBar(u32 region) { return region < Regions::kRom; }

}  // namespace

Regions::Place Regions::PlaceOf(u64 offset) const {
  return {static_cast<u32>(offset >> rules_.shift) & rules_.number_mask,
          offset & ((u64{1} << rules_.shift) - 1)};
}

// A virtual function decodes as long as its physical function lets it.
bool Regions::Decodes(u32 command) const {
  return slot_.physical_function() != nullptr ||
         (slot_.config().Get(PCI_COMMAND, 2) & command) != 0;
}

Result<std::size_t> Regions::CheckAccess(Place place, std::size_t count) const {
  const auto& [region, at] = place;
  if (region > kRom) return Fail(EINVAL, fmt::format("no region {}", region));
  if (region == kRom) {
    const auto& rom = slot_.rom_layout();
    if (!rom) return Fail(EINVAL, "the device has no ROM");
    if (at > rom->size) return Fail(EINVAL, fmt::format("{:#x} in a ROM of {:#x}", at, rom->size));
    return std::min<std::size_t>(count, rom->size - at);
  }
  const auto& bar = slot_.bars()[region];
  if (!bar) return Fail(EINVAL, fmt::format("BAR{} is absent", region));
  // Of ports all are moved or none.
  if (at > bar->size || (bar->io && count > bar->size - at))
    return Fail(EINVAL, fmt::format("{:#x} + {:#x} of {:#x}", at, count, bar->size));
  return std::min<std::size_t>(count, bar->size - at);
}

template <class Byte, class Access>
Reply Regions::InUnits(CallContext& caller, std::span<Byte> bytes, Place place, Access access) {
  constexpr bool kReads = !std::is_const_v<Byte>;
  const bool io = IsBar(place.region) && slot_.bars()[place.region]->io;
  const std::size_t widest = io || rules_.moves_in_units ? 4 : 8;
  const u32 decodes = io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
  const long moved = static_cast<long>(bytes.size());
  for (u64 at = place.at; !bytes.empty();) {
    const auto part = bytes.first(BusUnit(at, bytes.size(), widest));
    if (!kReads) TRY(caller.FromClient(part));
    // Nothing checks whether the device answers; what does not, reads as ones.
    access(at, part, Decodes(decodes));
    if (kReads) TRY(caller.ToClient(part));
    bytes = bytes.subspan(part.size());
    at += part.size();
  }
  return moved;
}

Reply Regions::ReadConfig(CallContext& caller, std::span<std::byte> to, std::size_t at) {
  Config& config = config_();
  if (at > config.size()) return Fail(EINVAL, fmt::format("config {:#x}", at));
  to = to.first(std::min(to.size(), config.size() - at));
  for (std::byte& byte : to) {
    byte = config.Read(at++);
    TRY(caller.ToClient(std::span{&byte, 1}));
  }
  return static_cast<long>(to.size());
}

Reply Regions::WriteConfig(CallContext& caller, std::span<const std::byte> from, std::size_t at) {
  Config& config = config_();
  if (at > config.size()) return Fail(EINVAL, fmt::format("config {:#x}", at));
  from = from.first(std::min(from.size(), config.size() - at));
  for (const std::byte& byte : from) {
    TRY(caller.FromClient(std::span{&byte, 1}));
    config.Write(at++, byte);
  }
  return static_cast<long>(from.size());
}

Reply Regions::Read(CallContext& caller, std::span<std::byte> to, u64 offset) {
  const Place place = PlaceOf(offset);
  if (place.region == rules_.config) return ReadConfig(caller, to, place.at & 0xffff);
  to = to.first(TRY(CheckAccess(place, to.size())));
  return InUnits(caller, to, place, [&](u64 at, std::span<std::byte> part, bool answers) {
    if (!answers)
      std::ranges::fill(part, std::byte{0xff});
    else if (IsBar(place.region))
      slot_.ReadBar(place.region, at, part);
    else
      for (std::size_t i = 0; i < part.size(); ++i)
        part[i] = at + i < slot_.rom().size() ? slot_.rom()[at + i] : std::byte{0xff};
  });
}

Reply Regions::Write(CallContext& caller, std::span<const std::byte> from, u64 offset) {
  const Place place = PlaceOf(offset);
  if (place.region == rules_.config) return WriteConfig(caller, from, place.at & 0xffff);
  if (place.region == kRom && rules_.rom_is_read_only)
    return Fail(EINVAL, "a ROM cannot be written");
  from = from.first(TRY(CheckAccess(place, from.size())));
  return InUnits(caller, from, place, [&](u64 at, std::span<const std::byte> part, bool answers) {
    if (answers && IsBar(place.region)) slot_.WriteBar(place.region, at, part);
  });
}

// The file offsets of a mapping are those of the device's memory (DeviceSlot::SetRegionShift).
template <class Byte, class Access>
Reply Regions::OnBus(std::span<Byte> bytes, u64 offset, Access access) {
  const Place place = PlaceOf(offset);
  const auto& bar = IsBar(place.region) ? slot_.bars()[place.region] : std::nullopt;
  if (!bar || bar->io || place.at >= bar->size || bytes.size() > bar->size - place.at)
    return Fail(EIO, fmt::format("region {} has nothing at {:#x}", place.region, place.at));
  const bool answers = Decodes(PCI_COMMAND_MEMORY);
  const long moved = static_cast<long>(bytes.size());
  for (u64 at = place.at; !bytes.empty();) {
    const auto part = bytes.first(BusUnit(at, bytes.size(), 8));
    access(place.region, at, part, answers);
    bytes = bytes.subspan(part.size());
    at += part.size();
  }
  return moved;
}

Reply Regions::Load(std::span<std::byte> to, u64 offset) {
  return OnBus(to, offset, [&](u32 bar, u64 at, std::span<std::byte> part, bool answers) {
    if (answers)
      slot_.ReadBar(bar, at, part);
    else
      std::ranges::fill(part, std::byte{0xff});
  });
}

Reply Regions::Store(std::span<const std::byte> from, u64 offset) {
  return OnBus(from, offset, [&](u32 bar, u64 at, std::span<const std::byte> part, bool answers) {
    if (answers) slot_.WriteBar(bar, at, part);
  });
}

u64 Regions::Size(u32 region) const {
  if (IsBar(region)) return slot_.bars()[region] ? slot_.bars()[region]->size : 0;
  if (region == kRom) return slot_.rom_layout() ? slot_.rom_layout()->size : 0;
  return region == rules_.config ? slot_.config().size() : 0;
}

bool Regions::IsMemory(u32 region) const {
  return IsBar(region) && slot_.bars()[region] && !slot_.bars()[region]->io;
}

bool Regions::CanMap(CallContext& caller, u32 bar) const {
  if (!IsMemory(bar) || slot_.shared_memory_fd() < 0 || !caller.can_map_regions()) return false;
  const BarMapping mapping = slot_.device().bar(bar)->spec.mapping;
  return mapping != BarMapping::kNone && (mapping != BarMapping::kTrap || caller.can_trap());
}

Result<u64> Regions::Mmap(CallContext& caller, const MmapRequest& request) const {
  const Place place = PlaceOf(request.offset);
  if (!request.shared) return Fail(EINVAL, "BARs are mapped MAP_SHARED or not at all");
  if (!IsMemory(place.region))
    return Fail(EINVAL, fmt::format("region {} cannot be mapped", place.region));
  const u64 size = slot_.bars()[place.region]->size;
  const u64 at = rules_.from_the_start ? 0 : place.at;
  if (size < kPageSize || at > size || request.length > size - at)
    return Fail(EINVAL, fmt::format("{:#x} + {:#x} of {:#x}", at, request.length, size));
  if (!CanMap(caller, place.region))
    return Fail(EINVAL, fmt::format("BAR{} cannot be mapped by this client", place.region));
  const u64 begins = (u64{place.region} << rules_.shift) + at;
  if (begins != request.offset && !caller.can_trap())
    return Fail(EINVAL, "nobody can make a mapping of this client begin where the BAR does");
  return begins;
}

}  // namespace vfiolab::early
