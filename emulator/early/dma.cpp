#include "early/dma.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace vfiolab::early {
namespace {

// The part of a mapping that lies in `range`, which is inside, with at most so many locked pages:
// memory of devices has none.
Mapping Part(const Mapping& whole, IovaRange range, u64 locked_pages) {
  Mapping part = whole;
  part.iova = range;
  part.address = whole.address + (range.first - whole.iova.first);
  part.locked_pages = std::min(locked_pages, part.size() / kPageSize);
  return part;
}

}  // namespace

Result<> CheckTranslatable(const Iommu& iommu, IovaRange range) {
  if (iommu.address_width < 64 && range.last >> iommu.address_width != 0)
    return Fail(EFAULT, fmt::format("the IOMMU does not translate {:#x}", range.last));
  return {};
}

Result<u64, AddressSpace::Unpinnable> CheckPinnable(AddressSpace& space,
                                                    const DmaRequest& request) {
  if (!IovaRange::Of(request.address, request.size))
    return Failure{AddressSpace::Unpinnable{
        0, Error{EFAULT, fmt::format("{:#x} + {:#x} wraps", request.address, request.size)}}};
  return space.CheckPinnable(ClientAddress{request.address}, request.size, request.permissions);
}

Result<> Map(CallContext& caller, const DmaRequest& request, const Iommu& iommu,
             const std::function<Ioas*()>& where) {
  const std::shared_ptr<AddressSpace> space = TRY(caller.address_space());
  auto pinned = CheckPinnable(*space, request);
  Ioas* ioas = where();
  if (ioas == nullptr) return Fail(EINVAL, "there is no address space");
  const auto range = IovaRange::Of(request.iova, request.size);
  if (!range) return Fail(EFAULT, fmt::format("{:#x} + {:#x} wraps", request.iova, request.size));
  if (ioas->FirstOverlap(*range) != ioas->mappings().end())
    return Fail(EBUSY, fmt::format("a page at {:#x} is mapped already", request.iova));
  if (ioas->mappings().size() >= kMostMappings) return Fail(ENOMEM, "too many mappings");
  const u64 pages = (pinned ? *pinned : request.size) / kPageSize;
  TRY(space->ChargeLocked(pages));
  auto possible = CheckTranslatable(iommu, *range);
  if (pinned && possible) {
    ioas->Insert({*range, ClientAddress{request.address}, request.permissions, space, pages, true});
    return {};
  }
  space->UnchargeLocked(pages);
  if (!pinned) return Failure{std::move(pinned.error().error)};
  return possible;
}

Ioas::Mappings::iterator Remove(Ioas& ioas, Ioas::Mappings::iterator it) {
  it->second.space->UnchargeLocked(it->second.locked_pages);
  return ioas.Erase(it);
}

void RemoveAll(Ioas& ioas) {
  for (auto it = ioas.mappings().begin(); it != ioas.mappings().end();) it = Remove(ioas, it);
}

Result<> Cut(Ioas& ioas, u64 iova, u64 size) {
  if (size == 0) return {};
  const IovaRange range{iova, iova + std::min(size - 1, ~u64{0} - iova)};
  const auto first = ioas.FirstOverlap(range);
  if (first != ioas.mappings().end() && first->second.iova.first < range.first &&
      first->second.iova.last > range.last && ioas.mappings().size() >= kMostMappings)
    return Fail(ENOMEM, "too many mappings");
  for (auto it = first; it != ioas.mappings().end() && it->first <= range.last;) {
    const Mapping whole = it->second;
    it = ioas.Erase(it);
    u64 locked = whole.locked_pages;
    const auto keep = [&](IovaRange part) {
      Mapping left = Part(whole, part, locked);
      locked -= left.locked_pages;
      ioas.Insert(std::move(left));
    };
    if (whole.iova.first < range.first) keep({whole.iova.first, range.first - 1});
    if (whole.iova.last > range.last) keep({range.last + 1, whole.iova.last});
    whole.space->UnchargeLocked(locked);
  }
  return {};
}

u64 LockedPages(const Ioas& ioas) {
  u64 pages = 0;
  for (const auto& [iova, mapping] : ioas.mappings()) pages += mapping.locked_pages;
  return pages;
}

}  // namespace vfiolab::early
