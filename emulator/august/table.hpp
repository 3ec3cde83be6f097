// Tables of ioctls of which each set of policies has some.
#pragma once
#include "machine/august_policies.hpp"
#include "uapi/revised_ioctls.hpp"

namespace vfiolab::august {

template <class File>
struct Row : uapi::IoctlRow<File> {
  bool (*is_there)(const AugustPolicies&) = nullptr;  // null: always
};

constexpr bool MapsOnGroup(const AugustPolicies& policies) {
  return policies.dma == AugustPolicies::Dma::kGroup;
}
constexpr bool MapsByUiommu(const AugustPolicies& policies) { return !MapsOnGroup(policies); }
constexpr bool HasRegionFiles(const AugustPolicies& policies) {
  return policies.regions == AugustPolicies::Regions::kDescriptors;
}

template <class File, std::size_t N>
Reply Dispatch(const Row<File> (&table)[N], File& file, const AugustPolicies& policies,
               CallContext& caller, u32 command, u64 argument) {
  for (const auto& row : table)
    if (row.command == command && (row.is_there == nullptr || row.is_there(policies)))
      return (file.*row.handler)(uapi::IoctlCall{caller, row.name, argument});
  return Fail(ENOTTY, fmt::format("unknown ioctl {:#x}", command));
}

template <class File, std::size_t N>
uapi::NamedNumbers NumbersOf(const Row<File> (&table)[N]) {
  uapi::NamedNumbers numbers;
  for (const auto& row : table) numbers.emplace_back(row.name, row.command);
  return numbers;
}

}  // namespace vfiolab::august
