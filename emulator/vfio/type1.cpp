#include "vfio/type1.hpp"

#include <algorithm>

#include "uapi/capability_chain.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

namespace {

constexpr u64 kLastIova = ~u64{0};
// The most bytes a dirty bitmap may have (DIRTY_BITMAP_SIZE_MAX).
constexpr u64 kMaxBitmapSize = 256_MiB;
// Where a process's memory ends (TASK_SIZE_MAX of x86-64).
constexpr u64 kUserEnd = (u64{1} << 47) - kPageSize;

// `fill` sets the fields of a T; the padding between them is zero, too: clients see it.
template <class T, class F>
void AddCap(uapi::CapabilityChain& chain, u16 id, F fill) {
  T cap;
  std::memset(&cap, 0, sizeof cap);
  cap.header.id = id;
  cap.header.version = 1;
  fill(cap);
  chain.Add(BytesOf(cap));
}

uapi::CapabilityChain InfoChain(const Iommu& iommu, u64 available,
                                const std::vector<IovaRange>& allowed) {
  uapi::CapabilityChain chain;
  AddCap<vfio_iommu_type1_info_cap_migration>(chain, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
                                              [&](auto& cap) {
                                                cap.pgsize_bitmap = iommu.SmallestPage();
                                                cap.max_dirty_bitmap_size = kMaxBitmapSize;
                                              });
  AddCap<vfio_iommu_type1_info_dma_avail>(chain, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, [&](auto& cap) {
    cap.avail = static_cast<u32>(available);
  });
  vfio_iommu_type1_info_cap_iova_range header{};
  header.header = {VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0};
  header.nr_iovas = static_cast<u32>(allowed.size());
  std::vector<std::byte> ranges(sizeof header + allowed.size() * sizeof(vfio_iova_range));
  std::memcpy(ranges.data(), &header, sizeof header);
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    const vfio_iova_range range{allowed[i].first, allowed[i].last};
    std::memcpy(ranges.data() + sizeof header + i * sizeof range, &range, sizeof range);
  }
  chain.Add(ranges);
  return chain;
}

}  // namespace

Type1::Type1(const Iommu& iommu, const KernelVersion& kernel, u32 limit, unsigned version)
    : iommu_(iommu),
      kernel_(kernel),
      version_(version),
      allowed_(iommu.AllowedRanges()),
      available_(limit) {}

Type1::~Type1() {
  for (auto it = ioas_->mappings().begin(); it != ioas_->mappings().end();) it = Remove(it);
}

Reply Type1::GetInfo(const IoctlCall& call) {
  vfio_iommu_type1_info info{};
  TRY(CopyIn(call, info, VFIOLAB_END_OF(vfio_iommu_type1_info, iova_pgsizes)));
  const std::size_t given = std::min<std::size_t>(info.argsz, sizeof info);
  const auto chain = InfoChain(iommu_, available_, allowed_);
  info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
  info.iova_pgsizes = iommu_.page_sizes;
  info.cap_offset = 0;
  if (info.argsz < sizeof info + chain.size()) {
    info.argsz = static_cast<u32>(sizeof info + chain.size());
  } else {
    TRY(call.caller.memory().Write(call.pointer() + sizeof info, chain.Place(sizeof info)));
    info.cap_offset = sizeof info;
  }
  TRY(CopyOut(call, info, given));
  return 0;
}

Result<> Type1::CheckMap(const vfio_iommu_type1_dma_map& map) const {
  const u32 access = map.flags & (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
  const bool update = map.flags & VFIO_DMA_MAP_FLAG_VADDR;
  if (map.size == 0) return Fail(EINVAL, "size is 0");
  if (!IovaRange::Of(map.iova, map.size) || !IovaRange::Of(map.vaddr, map.size))
    return Fail(kernel_.wrapped_range, fmt::format("iova {:#x} or vaddr {:#x} + size {:#x} wraps",
                                                   map.iova, map.vaddr, map.size));
  if (update == (access != 0))
    return Fail(EINVAL, fmt::format("flags {:#x}: READ and WRITE, or VADDR alone", map.flags));
  if ((map.size | map.iova | map.vaddr) & (iommu_.SmallestPage() - 1))
    return Fail(EINVAL, fmt::format("size {:#x}, iova {:#x} or vaddr {:#x} is no multiple of {:#x}",
                                    map.size, map.iova, map.vaddr, iommu_.SmallestPage()));
  return {};
}

Reply Type1::MapDma(const IoctlCall& call) {
  vfio_iommu_type1_dma_map map{};
  TRY(CopyIn(call, map));
  if (map.flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR))
    return Fail(EINVAL, fmt::format("unknown flags {:#x}", map.flags));
  TRY(CheckMap(map));
  const IovaRange range = *IovaRange::Of(map.iova, map.size);
  if (map.flags & VFIO_DMA_MAP_FLAG_VADDR) return UpdateAddress(call.caller, map, range);
  return MapNew(call.caller, map, range);
}

Reply Type1::MapNew(CallContext& caller, const vfio_iommu_type1_dma_map& map, IovaRange range) {
  const Permissions permissions{.read = (map.flags & VFIO_DMA_MAP_FLAG_READ) != 0,
                                .write = (map.flags & VFIO_DMA_MAP_FLAG_WRITE) != 0};
  // These may wait for the client, and other calls come in between: nothing is looked up before.
  auto space = TRY(caller.address_space());
  auto pinned = space->CheckPinnable(ClientAddress{map.vaddr}, map.size, permissions);
  if (const auto it = FirstIn(range); it != ioas_->mappings().end())
    return Fail(EEXIST, fmt::format("iova {:#x}-{:#x} is already mapped", it->second.iova.first,
                                    it->second.iova.last));
  if (available_ == 0) return Fail(ENOSPC, "all mappings are in use");
  const auto fits = [&](const IovaRange& allowed) { return allowed.Contains(range); };
  if (std::ranges::none_of(allowed_, fits))
    return Fail(EINVAL, fmt::format("iova {:#x}-{:#x} lies outside what the IOMMU translates",
                                    range.first, range.last));
  if (!pinned) {
    // The kernel counts page by page as it pins, so the limit may come first.
    const u64 before = pinned.error().before / kPageSize;
    TRY(space->ChargeLocked(before));
    space->UnchargeLocked(before);
    return Failure{std::move(pinned.error().error)};
  }
  const u64 pages = *pinned / kPageSize;
  TRY(space->ChargeLocked(pages));
  const Permissions translated{.read = permissions.read || kernel_.write_implies_read,
                               .write = permissions.write};
  ioas_->Insert({range, ClientAddress{map.vaddr}, translated, std::move(space), pages, true});
  --available_;
  return 0;
}

Reply Type1::UpdateAddress(CallContext& caller, const vfio_iommu_type1_dma_map& map,
                           IovaRange range) {
  auto space = TRY(caller.address_space());
  const auto it = FirstIn(range);
  if (it == ioas_->mappings().end()) return Fail(ENOENT, "nothing is mapped there");
  Mapping& mapping = it->second;
  if (mapping.address_valid || mapping.iova != range)
    return Fail(EINVAL, "the range is not exactly one mapping with an invalidated vaddr");
  if (space != mapping.space) {
    TRY(space->ChargeLocked(mapping.locked_pages));
    mapping.space->UnchargeLocked(mapping.locked_pages);
    mapping.space = std::move(space);
  }
  mapping.address = ClientAddress{map.vaddr};
  mapping.address_valid = true;
  mapping.pages = mapping.space->Pin(mapping.address, mapping.size());
  --invalid_addresses_;
  return 0;
}

Ioas::Mappings::iterator Type1::FirstIn(IovaRange range) {
  // Where the sum of its first address and its size is taken, it is 0.
  if (!kernel_.ranges_to_the_end && range.last == kLastIova) return ioas_->mappings().end();
  return ioas_->FirstOverlap(range);
}

Ioas::Mappings::iterator Type1::Remove(Ioas::Mappings::iterator it) {
  it->second.space->UnchargeLocked(it->second.locked_pages);
  if (!it->second.address_valid) --invalid_addresses_;
  ++available_;
  dirty_bitmaps_.erase(it->first);
  return ioas_->Erase(it);
}

Result<> Type1::CheckUnmap(const vfio_iommu_type1_dma_unmap& unmap) const {
  const u64 mask = iommu_.SmallestPage() - 1;
  if (unmap.iova & mask)
    return Fail(EINVAL, fmt::format("iova {:#x} is no multiple of {:#x}", unmap.iova, mask + 1));
  if (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
    if (unmap.iova != 0 || unmap.size != 0) return Fail(EINVAL, "ALL with an iova or a size");
    return {};
  }
  if (unmap.size == 0 || (unmap.size & mask))
    return Fail(EINVAL,
                fmt::format("size {:#x} is 0 or no multiple of {:#x}", unmap.size, mask + 1));
  if (!IovaRange::Of(unmap.iova, unmap.size))
    return Fail(kernel_.wrapped_range,
                fmt::format("iova {:#x} + size {:#x} wraps", unmap.iova, unmap.size));
  return {};
}

Result<> Type1::CheckNotBisected(IovaRange range) {
  for (const u64 edge : {range.first, range.last}) {
    const auto it = ioas_->FirstOverlap({edge, edge});
    if (it == ioas_->mappings().end()) continue;
    if (!range.Contains(it->second.iova))
      return Fail(EINVAL, fmt::format("{:#x} lies inside the mapping {:#x}-{:#x}", edge,
                                      it->second.iova.first, it->second.iova.last));
  }
  return {};
}

Result<u64> Type1::InvalidateAddresses(IovaRange range) {
  std::vector<Mapping*> marked;
  u64 bytes = 0;
  for (auto it = FirstIn(range); it != ioas_->mappings().end() && it->first <= range.last; ++it) {
    if (it->first < range.first) break;  // v1, as in Unmap()
    if (!it->second.address_valid) {
      for (Mapping* mapping : marked) mapping->address_valid = true;
      return Fail(EINVAL, fmt::format("the vaddr of iova {:#x} is already invalid", it->first));
    }
    it->second.address_valid = false;
    marked.push_back(&it->second);
    bytes += it->second.size();
  }
  invalid_addresses_ += static_cast<unsigned>(marked.size());
  return bytes;
}

Result<u64> Type1::Unmap(const vfio_iommu_type1_dma_unmap& unmap) {
  const bool all = unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL;
  // No IOMMU translates the last page.
  const IovaRange range =
      all ? IovaRange{0, kLastIova - kPageSize} : *IovaRange::Of(unmap.iova, unmap.size);
  if (version_ == VFIO_TYPE1v2_IOMMU && !all) TRY(CheckNotBisected(range));
  if (unmap.flags & VFIO_DMA_UNMAP_FLAG_VADDR) return InvalidateAddresses(range);
  u64 bytes = 0;
  auto it = FirstIn(range);
  while (it != ioas_->mappings().end() && it->first <= range.last) {
    // v1 stops at a mapping that begins before the range, and takes whole one that ends after it.
    if (it->first < range.first) break;
    bytes += it->second.size();
    it = Remove(it);
  }
  return bytes;
}

Reply Type1::UnmapDma(const IoctlCall& call) {
  constexpr u32 kKnown =
      VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR;
  vfio_iommu_type1_dma_unmap unmap{};
  TRY(CopyIn(call, unmap, sizeof(vfio_iommu_type1_dma_unmap)));
  if (unmap.flags & ~kKnown) return Fail(EINVAL, fmt::format("unknown flags {:#x}", unmap.flags));
  const bool dirty = unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
  vfio_bitmap bitmap{};
  if (dirty) {
    if (unmap.flags & (VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR))
      return Fail(EINVAL, "GET_DIRTY_BITMAP with ALL or VADDR");
    if (unmap.argsz < sizeof unmap + sizeof bitmap)
      return Fail(EINVAL, fmt::format("argsz {} leaves no room for the bitmap", unmap.argsz));
    bitmap = TRY(CopyInBitmap(call, sizeof unmap, unmap.size));
  }
  TRY(CheckUnmap(unmap));
  if (dirty) {
    if (!dirty_tracking_ || bitmap.pgsize != iommu_.SmallestPage())
      return Fail(EINVAL, "dirty tracking is off or the page size is not the smallest");
    const IovaRange range = *IovaRange::Of(unmap.iova, unmap.size);
    if (version_ == VFIO_TYPE1v2_IOMMU) TRY(CheckNotBisected(range));
    TRY(WriteDirtyBits(call.caller, range, bitmap));
  }
  unmap.size = TRY(Unmap(unmap));
  TRY(CopyOut(call, unmap));
  return 0;
}

Result<vfio_bitmap> Type1::CopyInBitmap(const IoctlCall& call, u64 offset, u64 size) const {
  const auto bitmap = TRY(call.caller.memory().Load<vfio_bitmap>(call.pointer() + offset));
  const u64 pages = bitmap.pgsize == 0 ? 0 : size >> std::countr_zero(bitmap.pgsize);
  if (pages == 0 || bitmap.size == 0 || bitmap.size > kMaxBitmapSize ||
      bitmap.size < (pages + 63) / 64 * 8)
    return Fail(EINVAL, fmt::format("a bitmap of {} bytes for {} pages", bitmap.size, pages));
  const auto words = IovaRange::Of(reinterpret_cast<u64>(bitmap.data), bitmap.size);
  if (!words || words->last >= kUserEnd) return Fail(EINVAL, "the bitmap is outside user memory");
  return bitmap;
}

Result<> Type1::WriteDirtyBits(CallContext& caller, IovaRange range, const vfio_bitmap& bitmap) {
  const ClientAddress words{reinterpret_cast<u64>(bitmap.data)};
  const u64 page = iommu_.SmallestPage();
  // Taken first: while the client's memory is waited for, mappings may go.
  std::vector<IovaRange> covered;
  for (auto it = FirstIn(range); it != ioas_->mappings().end() && it->first <= range.last; ++it)
    covered.push_back(it->second.iova);
  for (const IovaRange& mapped : covered) {
    const u64 first = (mapped.first - range.first) / page;
    const unsigned shift = first % 64;
    const ClientAddress at = words + first / 64 * 8;
    const u64 found = shift == 0 ? 0 : TRY(caller.memory().Load<u64>(at));
    const auto still = ioas_->mappings().find(mapped.first);
    if (still == ioas_->mappings().end() || still->second.iova.last != mapped.last) continue;
    const u64 pages = (mapped.last - mapped.first) / page + 1;
    const auto bits =
        dirty_bitmaps_.try_emplace(mapped.first, pages).first->second.Report(shift, found);
    TRY(caller.memory().Write(at, std::as_bytes(std::span{bits})));
  }
  return {};
}

Reply Type1::DirtyPages(const IoctlCall& call) {
  if (version_ != VFIO_TYPE1v2_IOMMU) return Fail(EACCES, "a type1 v1 container tracks nothing");
  vfio_iommu_type1_dirty_bitmap dirty{};
  TRY(CopyIn(call, dirty, VFIOLAB_END_OF(vfio_iommu_type1_dirty_bitmap, flags)));
  constexpr u32 kStart = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
  constexpr u32 kStop = VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
  constexpr u32 kGet = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
  if (dirty.flags & ~(kStart | kStop | kGet) || !std::has_single_bit(dirty.flags))
    return Fail(EINVAL, fmt::format("flags {:#x} are not exactly one action", dirty.flags));
  if (dirty.flags != kGet) {
    dirty_tracking_ = dirty.flags == kStart;
    if (!dirty_tracking_) dirty_bitmaps_.clear();
    return 0;
  }
  constexpr std::size_t kHeader = sizeof(vfio_iommu_type1_dirty_bitmap);
  using Get = vfio_iommu_type1_dirty_bitmap_get;
  if (dirty.argsz < kHeader + sizeof(Get))
    return Fail(EINVAL, "argsz leaves no room for the range");
  const auto get = TRY(call.caller.memory().Load<Get>(call.pointer() + kHeader));
  if (get.size == 0) return Fail(EINVAL, "size is 0");
  const auto range = IovaRange::Of(get.iova, get.size);
  if (!range || (!kernel_.ranges_to_the_end && range->last == kLastIova))
    return Fail(kernel_.wrapped_range,
                fmt::format("iova {:#x} + size {:#x} wraps", get.iova, get.size));
  const auto bitmap = TRY(CopyInBitmap(call, kHeader + offsetof(Get, bitmap), get.size));
  const u64 page = iommu_.SmallestPage();
  if (bitmap.pgsize != page || (get.iova | get.size) & (page - 1) || !dirty_tracking_)
    return Fail(EINVAL, "not in smallest pages, or dirty tracking is off");
  TRY(CheckNotBisected(*range));
  TRY(WriteDirtyBits(call.caller, *range, bitmap));
  return 0;
}

}  // namespace vfiolab::vfio
