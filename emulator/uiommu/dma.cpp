// How memory of a client is mapped for a device, by the file and, later, by the domain.
#include "early/dma.hpp"

#include "uiommu/device.hpp"

namespace vfiolab::uiommu {
namespace {

constexpr u64 kMostAtOnce = u64{1} << 30;  // VFIO_MAX_MAP_SIZE

early::DmaRequest RequestOf(const DmaMap& map) {
  return {.address = map.address,
          .iova = map.iova,
          .size = map.size,
          .permissions = {.read = true, .write = (map.flags & kDmaMapWrite) != 0}};
}

}  // namespace

Reply DeviceFile::MapForFile(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<DmaMap>(call.pointer()));
  if (!early::IsAligned(map.address | map.iova | map.size))
    return Fail(EINVAL, fmt::format("{:#x}, {:#x} or {:#x} is not made of pages", map.address,
                                    map.iova, map.size));
  if (map.size > kMostAtOnce) return Fail(EINVAL, fmt::format("{:#x} bytes at once", map.size));
  // These may wait for the client, and other calls come in between: nothing is looked up before.
  const std::shared_ptr<AddressSpace> space = TRY(call.caller.address_space());
  const auto counted = early::CheckPinnable(*space, RequestOf(map));
  const bool pinned = counted && *counted == map.size;  // memory of devices has no pages
  const u64 pages = map.size / kPageSize;
  TRY(space->ChargeLocked(pages));
  if (auto mapped = MapOwn(map, space, pinned); !mapped) {
    space->UnchargeLocked(pages);
    return Failure{std::move(mapped).error()};
  }
  TRY(call.caller.memory().Store(call.pointer(), map));
  return 0;
}

Result<> DeviceFile::MapOwn(const DmaMap& map, const std::shared_ptr<AddressSpace>& space,
                            bool pinned) {
  if (mapper_ != nullptr && mapper_ != space)
    return Fail(EINVAL, "another process has mapped through this file");
  if (map.size == 0) return Fail(ENOMEM, "there is no list of no pages");
  if (own_.size() >= early::kMostMappings) return Fail(ENOMEM, "too many mappings");
  if (!pinned) return Fail(EFAULT, fmt::format("{:#x} cannot be pinned", map.address));
  const auto& domain = device_.domain();
  if (domain == nullptr) return Fail(EINVAL, "the device is in no domain");
  const auto range = IovaRange::Of(map.iova, map.size);
  if (!range) return Fail(EFAULT, fmt::format("{:#x} + {:#x} wraps", map.iova, map.size));
  if (domain->ioas()->FirstOverlap(*range) != domain->ioas()->mappings().end())
    return Fail(EBUSY, fmt::format("a page at {:#x} is mapped already", map.iova));
  TRY(early::CheckTranslatable(device_.slot().machine().iommu(), *range));
  const u64 pages = map.size / kPageSize;
  domain->ioas()->Insert(
      {*range, ClientAddress{map.address}, RequestOf(map).permissions, space, pages, true});
  mapper_ = space;
  own_.push_back({map.address, pages, map.iova, domain});
  ++device_.mappings_of_files;
  device_.locked_pages_of_files += pages;
  return {};
}

void DeviceFile::UnmapOwn(std::size_t index) {
  const OwnMapping mapping = own_[index];
  own_.erase(own_.begin() + static_cast<std::ptrdiff_t>(index));
  Ioas& ioas = *mapping.domain->ioas();
  early::Remove(ioas, ioas.mappings().find(mapping.iova));
  --device_.mappings_of_files;
  device_.locked_pages_of_files -= mapping.pages;
}

void DeviceFile::OnUnmap(const AddressSpace& space, ClientAddress from, u64 size) {
  if (mapper_.get() != &space) return;
  const auto gone = IovaRange::Of(Raw(from), size);
  for (std::size_t i = own_.size(); gone && i-- > 0;)
    if (gone->Overlaps(*IovaRange::Of(own_[i].address, own_[i].pages * kPageSize))) UnmapOwn(i);
}

Reply DeviceFile::UnmapForFile(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<DmaMap>(call.pointer()));
  for (std::size_t i = own_.size(); i-- > 0;) {
    if (own_[i].address != map.address || own_[i].pages != map.size / kPageSize) continue;
    UnmapOwn(i);
    return 0;
  }
  return Fail(ENXIO, fmt::format("{:#x} bytes at {:#x} are not mapped", map.size, map.address));
}

Reply DeviceFile::MapInDomain(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<DmaMap>(call.pointer()));
  if (!early::IsAligned(map.address | map.iova | map.size) || map.size == 0)
    return Fail(EINVAL, fmt::format("{:#x}, {:#x} or {:#x} is not made of pages", map.address,
                                    map.iova, map.size));
  const auto where = [this] {
    return device_.domain() == nullptr ? nullptr : device_.domain()->ioas().get();
  };
  TRY(early::Map(call.caller, RequestOf(map), device_.slot().machine().iommu(), where));
  TRY(call.caller.memory().Store(call.pointer(), map));
  return 0;
}

Reply DeviceFile::UnmapInDomain(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<DmaMap>(call.pointer()));
  if (!early::IsAligned(map.iova | map.size))
    return Fail(EINVAL, fmt::format("{:#x} or {:#x} is not made of pages", map.iova, map.size));
  if (device_.domain() == nullptr) return Fail(EINVAL, "the device is in no domain");
  TRY(early::Cut(*device_.domain()->ioas(), map.iova, map.size));
  return 0;
}

}  // namespace vfiolab::uiommu
