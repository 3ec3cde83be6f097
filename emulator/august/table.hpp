// Tables of ioctls of which each set of policies has some.
#pragma once
#include "machine/august_policies.hpp"
#include "uapi/revised_ioctls.hpp"

namespace vfiolab::august {

template <class File>
struct Row : uapi::EarlyRow<File> {
  bool (*is_there)(const AugustPolicies&) = nullptr;  // null: always
  bool IsIn(const AugustPolicies& policies) const {
    return is_there == nullptr || is_there(policies);
  }
};

constexpr bool MapsOnGroup(const AugustPolicies& policies) {
  return policies.dma == AugustPolicies::Dma::kGroup;
}
constexpr bool MapsByUiommu(const AugustPolicies& policies) { return !MapsOnGroup(policies); }
constexpr bool HasRegionFiles(const AugustPolicies& policies) {
  return policies.regions == AugustPolicies::Regions::kDescriptors;
}

}  // namespace vfiolab::august
