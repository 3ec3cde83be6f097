#include "august/dma.hpp"

#include <fmt/format.h>

#include "early/dma.hpp"

namespace vfiolab::august {

Result<> Map(CallContext& caller, const DmaMap& map, const Iommu& iommu,
             const std::function<Ioas*()>& where) {
  if (!early::IsAligned(map.address | map.iova | map.size) || map.size == 0)
    return Fail(EINVAL, fmt::format("{:#x}, {:#x} or {:#x} is not made of pages", map.address,
                                    map.iova, map.size));
  const early::DmaRequest request{
      map.address, map.iova, map.size, {true, (map.flags & kMapWrite) != 0}};
  return early::Map(caller, request, iommu, where);
}

Result<> Unmap(const DmaMap& map, Ioas& ioas) {
  if (!early::IsAligned(map.iova | map.size))
    return Fail(EINVAL, fmt::format("{:#x} or {:#x} is not made of pages", map.iova, map.size));
  return early::Cut(ioas, map.iova, map.size);
}

}  // namespace vfiolab::august
