// MAP_DMA and UNMAP_DMA of the proposals, whatever descriptor they are made on.
#pragma once
#include <functional>

#include "august/structs.hpp"
#include "iommu/ioas.hpp"
#include "iommu/iommu.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::august {

// EINVAL: not made of pages, or `where` gives nothing. Else as early::Map().
Result<> Map(CallContext& caller, const DmaMap& map, const Iommu& iommu,
             const std::function<Ioas*()>& where);
// EINVAL: not made of pages. Else as early::Cut().
Result<> Unmap(const DmaMap& map, Ioas& ioas);

}  // namespace vfiolab::august
