// What an IOMMU unit can do: which IOVAs it translates and in what sizes.
#pragma once
#include <vector>

#include "base/address.hpp"

namespace vfiolab {

enum class ReservedKind { kReserved, kMsi, kDirect, kDirectRelaxable };

struct ReservedRegion {
  IovaRange range;
  ReservedKind kind;
  bool operator==(const ReservedRegion&) const = default;
};

struct Iommu {
  unsigned address_width = 48;             // bits of IOVA that it translates
  u64 page_sizes = 4_KiB | 2_MiB | 1_GiB;  // one bit per size
  // Ordered, not overlapping. The default is where x86 takes message-signalled interrupts.
  std::vector<ReservedRegion> reserved = {{{0xfee00000, 0xfeefffff}, ReservedKind::kMsi}};
  u64 mapping_limit = 65535;        // type1's dma_entry_limit
  bool coherent = true;             // enforces cache coherency
  bool interrupt_isolation = true;  // remaps interrupts: without it groups cannot be used safely
  bool strict = false;              // the host's own mappings go at once, not in batches

  bool operator==(const Iommu&) const = default;

  u64 SmallestPage() const { return page_sizes & -page_sizes; }
  // The aperture without the reserved regions that DMA must avoid; direct-relaxable ones may be
  // used (iommu.c iommu_get_resv_regions, vfio_iommu_type1.c vfio_iommu_resv_exclude).
  std::vector<IovaRange> AllowedRanges() const;
};

}  // namespace vfiolab
