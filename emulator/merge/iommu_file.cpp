#include "merge/iommu_file.hpp"

#include <algorithm>

#include "early/dma.hpp"
#include "merge/structs.hpp"

namespace vfiolab::merge {

using namespace uapi;

struct IommuFile::Table {
  using enum Calls;
  using File = IommuFile;
  static constexpr RevisedRow<File, Calls> kRows[] = {
      {{Number(kRead, 105, 8), "VFIO_IOMMU_GET_FLAGS", &File::GetFlags},
       kLateOctober,
       kLateOctober},
      {{Plain(105), "VFIO_IOMMU_GET_INFO", &File::GetInfo}, kDecember, kDecember},
      {{Plain(105), "VFIO_IOMMU_GET_INFO", &File::GetInfoB3}, kJanuary, kJanuary},
      {{Number(kBoth, 105, 40), "VFIO_IOMMU_MAP_DMA", &File::MapOctober}, kOctober, kOctober},
      {{Number(kBoth, 106, 40), "VFIO_IOMMU_MAP_DMA", &File::MapOctober},
       kLateOctober,
       kLateOctober},
      {{Plain(106), "VFIO_IOMMU_MAP_DMA", &File::Map}, kDecember, kJanuary},
      {{Number(kBoth, 106, 40), "VFIO_IOMMU_UNMAP_DMA", &File::UnmapOctober}, kOctober, kOctober},
      {{Number(kBoth, 107, 40), "VFIO_IOMMU_UNMAP_DMA", &File::UnmapOctober},
       kLateOctober,
       kLateOctober},
      {{Plain(107), "VFIO_IOMMU_UNMAP_DMA", &File::Unmap}, kDecember, kJanuary},
  };
  static_assert(AreUnique(kRows));
  static_assert(sizeof(october::DmaMap) == 40);
};

NamedNumbers IommuFile::IoctlNumbers(const Revision& revision) {
  return NumbersOf(Table::kRows, revision.calls);
}

Reply IommuFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  return Dispatch(Table::kRows, *this, set_->revision().calls, caller, command, argument,
                  set_->revision().unknown_ioctl);
}

Reply IommuFile::GetFlags(const IoctlCall& call) {
  TRY(call.caller.memory().Store(call.pointer(), kIommuMapAny));
  return 0;
}

Reply IommuFile::MapOctober(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<october::DmaMap>(call.pointer()));
  if (!early::IsAligned(map.address | map.iova | map.size) || map.size == 0)
    return Fail(EINVAL, fmt::format("{:#x}, {:#x} or {:#x} is not made of pages", map.address,
                                    map.iova, map.size));
  const early::DmaRequest request{
      map.address, map.iova, map.size, {true, (map.flags & october::kMapWrite) != 0}};
  TRY(early::Map(call.caller, request, set_->machine().iommu(), [this] { return &*set_->ioas(); }));
  TRY(call.caller.memory().Store(call.pointer(), map));
  return 0;
}

Reply IommuFile::UnmapOctober(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<october::DmaMap>(call.pointer()));
  if (!early::IsAligned(map.iova | map.size))
    return Fail(EINVAL, fmt::format("{:#x} or {:#x} is not made of pages", map.iova, map.size));
  TRY(early::Cut(*set_->ioas(), map.iova, map.size));
  TRY(call.caller.memory().Store(call.pointer(), map));
  return 0;
}

Reply IommuFile::GetInfo(const IoctlCall& call) {
  IommuInfo info{};
  TRY(CopyIn(call, info));
  info.flags = 0;
  info.iova_max = ~u64{0};
  info.iova_min = 0;
  info.page_sizes = set_->machine().iommu().page_sizes;
  TRY(CopyOut(call, info));
  return 0;
}

Reply IommuFile::GetInfoB3(const IoctlCall& call) {
  IommuInfoB3 info{};
  TRY(CopyIn(call, info));
  info.flags = 0;
  info.iova_start = 0;
  info.iova_size = ~u64{0};
  info.iova_entries = early::kMostMappings - set_->ioas()->mappings().size();
  info.page_sizes = set_->machine().iommu().page_sizes;
  TRY(CopyOut(call, info));
  return 0;
}

Reply IommuFile::Map(const IoctlCall& call) {
  DmaMap map{};
  TRY(CopyIn(call, map));
  const u64 page = set_->machine().iommu().SmallestPage();
  if ((map.flags & ~(kMapRead | kMapWrite)) != 0 || map.flags == 0)
    return Fail(EINVAL, fmt::format("flags {:#x}", map.flags));
  if (!early::IsAligned(map.address | map.iova | map.size, page) || map.size == 0)
    return Fail(EINVAL, fmt::format("{:#x}, {:#x} or {:#x} is not made of pages", map.address,
                                    map.iova, map.size));
  if (!IovaRange::Of(map.iova, map.size) || !IovaRange::Of(map.address, map.size))
    return Fail(EINVAL,
                fmt::format("{:#x} or {:#x} + {:#x} wraps", map.iova, map.address, map.size));
  const early::DmaRequest request{
      map.address, map.iova, map.size, {(map.flags & kMapRead) != 0, (map.flags & kMapWrite) != 0}};
  TRY(early::Map(call.caller, request, set_->machine().iommu(), [this] { return &*set_->ioas(); }));
  return 0;
}

Reply IommuFile::Unmap(const IoctlCall& call) {
  DmaUnmap unmap{};
  TRY(CopyIn(call, unmap));
  const u64 page = set_->machine().iommu().SmallestPage();
  if (unmap.flags != 0) return Fail(EINVAL, fmt::format("flags {:#x}", unmap.flags));
  if (!early::IsAligned(unmap.iova | unmap.size, page))
    return Fail(EINVAL, fmt::format("{:#x} or {:#x} is not made of pages", unmap.iova, unmap.size));
  TRY(early::Cut(*set_->ioas(), unmap.iova, unmap.size));
  TRY(CopyOut(call, unmap));
  return 0;
}

}  // namespace vfiolab::merge
