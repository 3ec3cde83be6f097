#include "iommu/iommu.hpp"

namespace vfiolab {

std::vector<IovaRange> Iommu::AllowedRanges() const {
  const u64 last = address_width >= 64 ? ~u64{0} : (u64{1} << address_width) - 1;
  std::vector<IovaRange> allowed;
  u64 from = 0;
  for (const ReservedRegion& region : reserved) {
    if (region.kind == ReservedKind::kDirectRelaxable) continue;
    if (region.range.first > last) break;
    if (region.range.first > from) allowed.push_back({from, region.range.first - 1});
    if (region.range.last >= last) return allowed;
    from = region.range.last + 1;
  }
  allowed.push_back({from, last});
  return allowed;
}

}  // namespace vfiolab
