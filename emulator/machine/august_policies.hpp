// The questions that were open in the debate of August 2011, and how a machine answers them.
#pragma once

namespace vfiolab {

struct AugustPolicies {
  // Where memory is mapped: on the descriptor of a group, or as before, of a device, for the
  // uiommu that it is in, of which a group can be in one only.
  enum class Dma { kGroup, kUiommu } dma = Dma::kGroup;
  // Whether a group can be opened that is not viable; DMA and devices are refused then.
  enum class Open { kAlways, kViable } open = Open::kAlways;
  // A group that is open cannot be opened again.
  bool exclusive_open = true;
  // What becomes of groups that are bound to one that nobody has open any more, or that is
  // released: it stays until they are gone; they are reset and on their own; the first of them
  // takes its place.
  enum class OwnerClose { kRefuse, kResetChildren, kPromote } owner_close = OwnerClose::kRefuse;
  // Of a group that has mappings and is to be bound to another: it cannot; they go; they are taken
  // along, if they fit.
  enum class JoinWithMappings {
    kRefuse,
    kDrop,
    kMerge
  } join_with_mappings = JoinWithMappings::kRefuse;
  // A device's descriptor is made of ranges, one for each region; or each region has its own.
  enum class Regions { kSegmented, kDescriptors } regions = Regions::kSegmented;

  bool operator==(const AugustPolicies&) const = default;
};

}  // namespace vfiolab
