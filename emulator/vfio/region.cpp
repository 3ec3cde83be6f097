// Regions of a device file: BARs and config space as ranges of file offsets (vfio_pci_rdwr.c).
#include <linux/pci_regs.h>

#include <algorithm>

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

}  // namespace

DeviceFile::RegionFacts DeviceFile::BarFacts(unsigned bar, bool can_map) const {
  const DeviceSlot& slot = device_.slot();
  const auto& layout = slot.bars()[bar];
  if (!layout) return {};
  const PciIdentity& identity = slot.device().identity();
  const BarMapping mapping = slot.device().bar(bar)->spec.mapping;
  const bool shared = mapping == BarMapping::kMemory || mapping == BarMapping::kPoll;
  const bool mappable =
      can_map && shared && !layout->io && layout->size >= kPageSize && slot.shared_memory_fd() >= 0;
  RegionFacts facts{layout->size, kReadWrite | (mappable ? VFIO_REGION_INFO_FLAG_MMAP : 0u)};
  if (identity.msix_vectors > 0 && identity.msix_bar == bar)
    facts.msix_table = {
        identity.msix_table_offset,
        identity.msix_table_offset + u64{identity.msix_vectors} * PCI_MSIX_ENTRY_SIZE};
  return facts;
}

DeviceFile::RegionFacts DeviceFile::Facts(u32 region, bool can_map) const {
  if (IsBar(region)) return BarFacts(region, can_map);
  if (region == VFIO_PCI_CONFIG_REGION_INDEX) return {device_.config().size(), kReadWrite};
  return {};
}

Reply DeviceFile::GetRegionInfo(const IoctlCall& call) {
  vfio_region_info info{};
  TRY(CopyIn(call, info));
  if (info.index >= VFIO_PCI_NUM_REGIONS || info.index == VFIO_PCI_VGA_REGION_INDEX)
    return Fail(EINVAL, fmt::format("no region {}", info.index));
  const RegionFacts facts = Facts(info.index, call.caller.can_map_regions());
  info.size = facts.size;
  info.flags = facts.flags;
  info.cap_offset = 0;
  info.offset = u64{info.index} << kRegionShift;
  if ((facts.flags & VFIO_REGION_INFO_FLAG_MMAP) && facts.msix_table.end > 0)
    TRY(AddMsixMappable(call, info));
  TRY(CopyOut(call, info));
  return 0;
}

Result<std::size_t> DeviceFile::CheckAccess(u32 region, u64 at, std::size_t count) const {
  if (region >= VFIO_PCI_NUM_REGIONS || region == VFIO_PCI_VGA_REGION_INDEX)
    return Fail(EINVAL, fmt::format("no region {}", region));
  const RegionFacts facts = Facts(region, false);
  if (region == VFIO_PCI_CONFIG_REGION_INDEX) {
    if (at > facts.size || count > facts.size - at)
      return Fail(EFAULT, fmt::format("config {:#x} + {} of {}", at, count, facts.size));
    return count;
  }
  if (facts.size == 0) return Fail(EINVAL, fmt::format("region {} is absent", region));
  if (at >= facts.size)
    return Fail(EINVAL, fmt::format("{:#x} in a region of {:#x}", at, facts.size));
  return std::min<std::size_t>(count, facts.size - at);
}

DeviceFile::Step DeviceFile::NextStep(unsigned bar, u64 at, std::size_t left) const {
  const RegionFacts facts = BarFacts(bar, false);
  const auto& table = facts.msix_table;
  if (table.Meets(at, 1)) return {std::min<std::size_t>(left, table.end - at), true};
  if (at < table.begin) left = std::min<std::size_t>(left, table.begin - at);
  for (const std::size_t length : {8u, 4u, 2u})
    if (left >= length && at % length == 0) return {length, false};
  return {1, false};
}

Reply DeviceFile::Read(CallContext&, std::span<std::byte> to, u64 offset) {
  if (to.empty()) return 0;
  const u32 region = static_cast<u32>(offset >> kRegionShift);
  u64 at = offset & kRegionOffsetMask;
  to = to.first(TRY(CheckAccess(region, at, to.size())));
  const long moved = static_cast<long>(to.size());
  if (!IsBar(region)) {
    device_.config().Read(at, to);
    return moved;
  }
  while (!to.empty()) {
    const Step step = NextStep(region, at, to.size());
    if (!step.hidden && !device_.Decodes(region)) return Fail(EIO, "memory is disabled in COMMAND");
    if (step.hidden)
      std::ranges::fill(to.first(step.length), std::byte{0xff});
    else
      device_.slot().ReadBar(region, at, to.first(step.length));
    to = to.subspan(step.length);
    at += step.length;
  }
  return moved;
}

Reply DeviceFile::Write(CallContext&, std::span<const std::byte> from, u64 offset) {
  if (from.empty()) return 0;
  const u32 region = static_cast<u32>(offset >> kRegionShift);
  u64 at = offset & kRegionOffsetMask;
  from = from.first(TRY(CheckAccess(region, at, from.size())));
  const long moved = static_cast<long>(from.size());
  if (!IsBar(region)) {
    device_.config().Write(at, from);
    return moved;
  }
  while (!from.empty()) {
    const Step step = NextStep(region, at, from.size());
    if (!step.hidden && !device_.Decodes(region)) return Fail(EIO, "memory is disabled in COMMAND");
    if (!step.hidden) device_.slot().WriteBar(region, at, from.first(step.length));
    from = from.subspan(step.length);
    at += step.length;
  }
  return moved;
}

Result<> DeviceFile::Mmap(CallContext& caller, const MmapRequest& request) {
  const u64 region = request.offset >> kRegionShift;
  const u64 at = request.offset & kRegionOffsetMask;
  if (!request.shared) return Fail(EINVAL, "regions are mapped MAP_SHARED or not at all");
  if (region > VFIO_PCI_BAR5_REGION_INDEX)
    return Fail(EINVAL, fmt::format("region {} cannot be mapped", region));
  const RegionFacts facts = BarFacts(static_cast<unsigned>(region), caller.can_map_regions());
  if (!(facts.flags & VFIO_REGION_INFO_FLAG_MMAP))
    return Fail(EINVAL, fmt::format("BAR{} cannot be mapped", region));
  if (at >= facts.size || request.length > facts.size - at)
    return Fail(EINVAL, fmt::format("{:#x} + {:#x} of {:#x}", at, request.length, facts.size));
  return {};
}

}  // namespace vfiolab::vfio
