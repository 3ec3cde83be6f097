// Regions of a device file: BARs and config space as ranges of file offsets (vfio_pci_rdwr.c).
#include <linux/pci_regs.h>

#include <algorithm>

#include "machine/bus_unit.hpp"
#include "vfio/device.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

namespace {

constexpr u32 kReadWrite = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;

// Tells that the MSI-X table can be mapped with the rest of its BAR.
Result<> AddMsixMappable(const IoctlCall& call, vfio_region_info& info) {
  const vfio_info_cap_header header{VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1, 0};
  constexpr u32 kSize = sizeof info + sizeof header;
  info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
  if (info.argsz < kSize) {
    info.argsz = kSize;
    return {};
  }
  info.cap_offset = sizeof info;
  return call.caller.memory().Write(call.pointer() + sizeof info, BytesOf(header));
}

constexpr bool IsBar(u32 region) { return region <= VFIO_PCI_BAR5_REGION_INDEX; }

constexpr u64 kVgaRegionSize = 0xc0000;
struct VgaRange {
  u64 begin, end;
};
constexpr VgaRange kVgaRanges[] = {{0xa0000, 0xc0000}, {0x3b0, 0x3bc}, {0x3c0, 0x3e0}};

// How many bytes the images of a ROM take (drivers/pci/rom.c pci_get_rom_size); 0: nothing in it is
// one.
u64 RomImageSize(std::span<const std::byte> rom) {
  constexpr std::size_t kBlock = 512, kPcirPointer = 0x18, kPcirSize = 0x18;
  constexpr std::size_t kImageLength = 0x10, kIndicator = 0x15;
  constexpr u32 kPcir = 0x52494350, kLastImage = 0x80;
  const auto get = [&](std::size_t at, unsigned width) {
    return static_cast<u32>(LoadLittleEndian(rom.subspan(at, width)));
  };
  std::size_t image = 0;
  while (image + kBlock <= rom.size() && get(image, 2) == 0xaa55) {
    const std::size_t pcir = image + get(image + kPcirPointer, 2);
    if (pcir + kPcirSize > rom.size() || get(pcir, 4) != kPcir) break;
    const std::size_t length = get(pcir + kImageLength, 2) * kBlock;
    image += length;
    if (length == 0 || get(pcir + kIndicator, 1) & kLastImage) break;
  }
  return std::min<u64>(image, rom.size());
}

}  // namespace

DeviceFile::RegionFacts DeviceFile::BarFacts(unsigned bar, const CallContext* caller) const {
  const DeviceSlot& slot = device_.slot();
  const auto& layout = slot.bars()[bar];
  if (!layout) return {};
  const PciIdentity& identity = slot.device().identity();
  const BarMapping mapping = slot.device().bar(bar)->spec.mapping;
  const bool mappable = mapping != BarMapping::kNone && !layout->io &&
                        (layout->size >= kPageSize || layout->owns_page) &&
                        slot.shared_memory_fd() >= 0 && caller != nullptr &&
                        caller->can_map_regions() &&
                        (mapping != BarMapping::kTrap || caller->can_trap());
  RegionFacts facts{layout->size, kReadWrite | (mappable ? VFIO_REGION_INFO_FLAG_MMAP : 0u)};
  if (identity.msix_vectors > 0 && identity.msix_bar == bar)
    facts.hidden = {identity.msix_table_offset,
                    identity.msix_table_offset + u64{identity.msix_vectors} * PCI_MSIX_ENTRY_SIZE};
  return facts;
}

bool DeviceFile::HasRegion(u32 region) const {
  if (region == VFIO_PCI_VGA_REGION_INDEX) return device_.slot().device().vga() != nullptr;
  return region < VFIO_PCI_NUM_REGIONS;
}

DeviceFile::RegionFacts DeviceFile::Facts(u32 region, const CallContext* caller) const {
  if (IsBar(region)) return BarFacts(region, caller);
  if (region == VFIO_PCI_CONFIG_REGION_INDEX) return {device_.config().size(), kReadWrite};
  if (region == VFIO_PCI_VGA_REGION_INDEX) return {kVgaRegionSize, kReadWrite};
  const auto rom = device_.slot().rom();
  const u64 image = RomImageSize(rom);
  if (image == 0) return {};
  return {rom.size(), VFIO_REGION_INFO_FLAG_READ, {image, rom.size()}};
}

Reply DeviceFile::GetRegionInfo(const IoctlCall& call) {
  vfio_region_info info{};
  TRY(CopyIn(call, info));
  if (!HasRegion(info.index)) return Fail(EINVAL, fmt::format("no region {}", info.index));
  const RegionFacts facts = Facts(info.index, &call.caller);
  info.size = facts.size;
  info.flags = facts.flags;
  info.offset = u64{info.index} << kRegionShift;
  if ((facts.flags & VFIO_REGION_INFO_FLAG_MMAP) && facts.hidden.end > 0)
    TRY(AddMsixMappable(call, info));
  TRY(CopyOut(call, info));
  return 0;
}

Result<> DeviceFile::CheckConfig(u64 at, std::size_t count) const {
  const std::size_t size = device_.config().size();
  if (at > size || count > size - at)
    return Fail(EFAULT, fmt::format("config {:#x} + {} of {}", at, count, size));
  return {};
}

Result<std::size_t> DeviceFile::CheckRom(u64 at, std::size_t count) const {
  const auto& layout = device_.slot().rom_layout();
  if (!layout) return Fail(EINVAL, "the device has no ROM");
  if (at >= layout->size)
    return Fail(EINVAL, fmt::format("{:#x} in a ROM of {:#x}", at, layout->size));
  if (RomImageSize(device_.slot().rom()) == 0 || !device_.config().memory_enabled())
    return Fail(ENOMEM, "nothing that can be read is a ROM");
  return std::min<std::size_t>(count, layout->size - at);
}

Result<std::size_t> DeviceFile::CheckAccess(u32 region, u64 at, std::size_t count) const {
  if (!HasRegion(region)) return Fail(EINVAL, fmt::format("no region {}", region));
  if (region == VFIO_PCI_VGA_REGION_INDEX) {
    for (const auto& [begin, end] : kVgaRanges)
      if (at >= begin && at < end) return std::min<std::size_t>(count, end - at);
    return Fail(EINVAL, fmt::format("{:#x} is no address of VGA", at));
  }
  if (region == VFIO_PCI_ROM_REGION_INDEX) return CheckRom(at, count);
  const u64 size = Facts(region).size;
  if (size == 0) return Fail(EINVAL, fmt::format("region {} is absent", region));
  if (at >= size) return Fail(EINVAL, fmt::format("{:#x} in a region of {:#x}", at, size));
  return std::min<std::size_t>(count, size - at);
}

DeviceFile::Step DeviceFile::NextStep(u32 region, const RegionFacts& facts, u64 at,
                                      std::size_t left) const {
  const auto& hidden = facts.hidden;
  if (hidden.Meets(at, 1)) return {std::min<std::size_t>(left, hidden.end - at), true};
  if (at < hidden.begin) left = std::min<std::size_t>(left, hidden.begin - at);
  return {BusUnit(at, left, IsBar(region) ? 8 : 4), false};
}

template <class Byte, class Access>
Reply DeviceFile::InSteps(CallContext& caller, std::span<Byte> bytes, u64 offset, Access access) {
  constexpr bool kReads = !std::is_const_v<Byte>;
  const u32 region = static_cast<u32>(offset >> kRegionShift);
  u64 at = offset & kRegionOffsetMask;
  bytes = bytes.first(TRY(CheckAccess(region, at, bytes.size())));
  const long moved = static_cast<long>(bytes.size());
  const RegionFacts facts = Facts(region);
  while (!bytes.empty()) {
    const Step step = NextStep(region, facts, at, bytes.size());
    const auto part = bytes.first(step.length);
    if (!kReads && !step.hidden) TRY(caller.FromClient(part));
    if (!step.hidden && !device_.Decodes(region)) return Fail(EIO, "memory is disabled in COMMAND");
    access(region, at, part, step.hidden);
    if (kReads) TRY(caller.ToClient(part));
    bytes = bytes.subspan(step.length);
    at += step.length;
  }
  return moved;
}

Reply DeviceFile::ReadConfig(CallContext& caller, std::span<std::byte> to, std::size_t at) {
  TRY(CheckConfig(at, to.size()));
  const long moved = static_cast<long>(to.size());
  while (!to.empty()) {
    const auto piece = to.first(device_.config().PieceLength(at, to.size()));
    device_.config().Read(at, piece);
    TRY(caller.ToClient(piece));
    to = to.subspan(piece.size());
    at += piece.size();
  }
  return moved;
}

Reply DeviceFile::WriteConfig(CallContext& caller, std::span<const std::byte> from,
                              std::size_t at) {
  TRY(CheckConfig(at, from.size()));
  const long moved = static_cast<long>(from.size());
  while (!from.empty()) {
    const auto piece = from.first(device_.config().PieceLength(at, from.size()));
    TRY(caller.FromClient(piece));
    device_.config().Write(at, piece);
    device_.UpdateMappings();
    from = from.subspan(piece.size());
    at += piece.size();
  }
  return moved;
}

Reply DeviceFile::Read(CallContext& caller, std::span<std::byte> to, u64 offset) {
  if (to.empty()) return 0;
  if (offset >> kRegionShift == VFIO_PCI_CONFIG_REGION_INDEX)
    return ReadConfig(caller, to, offset & kRegionOffsetMask);
  return InSteps(caller, to, offset,
                 [&](u32 region, u64 at, std::span<std::byte> part, bool hidden) {
                   DeviceSlot& slot = device_.slot();
                   if (hidden)
                     std::ranges::fill(part, std::byte{0xff});
                   else if (IsBar(region))
                     slot.ReadBar(region, at, part);
                   else if (region == VFIO_PCI_ROM_REGION_INDEX)
                     std::ranges::copy(slot.rom().subspan(at, part.size()), part.begin());
                   else
                     slot.device().vga()->Read(at, part);
                 });
}

Reply DeviceFile::Write(CallContext& caller, std::span<const std::byte> from, u64 offset) {
  if (from.empty()) return 0;
  const u64 index = offset >> kRegionShift;
  if (index == VFIO_PCI_ROM_REGION_INDEX) return Fail(EINVAL, "a ROM cannot be written");
  if (index == VFIO_PCI_CONFIG_REGION_INDEX)
    return WriteConfig(caller, from, offset & kRegionOffsetMask);
  return InSteps(caller, from, offset,
                 [&](u32 region, u64 at, std::span<const std::byte> part, bool hidden) {
                   if (hidden) return;
                   if (IsBar(region))
                     device_.slot().WriteBar(region, at, part);
                   else
                     device_.slot().device().vga()->Write(at, part);
                 });
}

// A processor reaches what the bus has there, the MSI-X table included; vfio-pci is not asked.
template <class Byte, class Access>
Reply DeviceFile::OnBus(std::span<Byte> bytes, u64 offset, Access access) {
  const u32 region = static_cast<u32>(offset >> kRegionShift);
  u64 at = offset & kRegionOffsetMask;
  const auto& layout = IsBar(region) ? device_.slot().bars()[region] : std::nullopt;
  const u64 pages = layout && !layout->io ? (layout->size + kPageSize - 1) & ~(kPageSize - 1) : 0;
  if (at >= pages || bytes.size() > pages - at)
    return Fail(EIO, fmt::format("region {} has no page at {:#x}", region, at));
  const long moved = static_cast<long>(bytes.size());
  while (!bytes.empty()) {
    if (!device_.mappings_answer())
      return Fail(EIO, "memory is disabled, or the device in low power");
    const Step step = NextStep(region, {}, at, bytes.size());
    access(region, at, bytes.first(step.length), at < layout->size);
    bytes = bytes.subspan(step.length);
    at += step.length;
  }
  return moved;
}

Reply DeviceFile::Load(CallContext&, std::span<std::byte> to, u64 offset) {
  return OnBus(to, offset, [&](u32 bar, u64 at, std::span<std::byte> part, bool answered) {
    if (answered)
      device_.slot().ReadBar(bar, at, part);
    else  // the rest of the page of a small BAR
      std::ranges::fill(part, std::byte{0xff});
  });
}

Reply DeviceFile::Store(CallContext&, std::span<const std::byte> from, u64 offset) {
  return OnBus(from, offset, [&](u32 bar, u64 at, std::span<const std::byte> part, bool answered) {
    if (answered) device_.slot().WriteBar(bar, at, part);
  });
}

Result<u64> DeviceFile::Mmap(CallContext& caller, const MmapRequest& request) {
  const u64 region = request.offset >> kRegionShift;
  const u64 at = request.offset & kRegionOffsetMask;
  if (!request.shared) return Fail(EINVAL, "regions are mapped MAP_SHARED or not at all");
  if (region > VFIO_PCI_BAR5_REGION_INDEX)
    return Fail(EINVAL, fmt::format("region {} cannot be mapped", region));
  const RegionFacts facts = BarFacts(static_cast<unsigned>(region), &caller);
  if (!(facts.flags & VFIO_REGION_INFO_FLAG_MMAP))
    return Fail(EINVAL, fmt::format("BAR{} cannot be mapped", region));
  const u64 end = (facts.size + kPageSize - 1) & ~(kPageSize - 1);
  if (at >= end || request.length > end - at)
    return Fail(EINVAL, fmt::format("{:#x} + {:#x} of {:#x}", at, request.length, facts.size));
  mapped_ = true;
  device_.OnMapped();
  return request.offset;
}

}  // namespace vfiolab::vfio
