// Mappings that belong to an address space and are found by IOVA, as from June 2011 to 2012
// (drivers/vfio/vfio_dma.c, vfio_iommu.c of that time).
#pragma once
#include <functional>

#include "iommu/ioas.hpp"
#include "iommu/iommu.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::early {

// The kernel had no such limit; but memory of devices is not locked, and could be mapped for ever.
inline constexpr std::size_t kMostMappings = 65535;

// Whether numbers, whose bits are or-ed, are multiples of `unit`, a power of two.
constexpr bool IsAligned(u64 bits, u64 unit = kPageSize) { return (bits & (unit - 1)) == 0; }

// In whole pages.
struct DmaRequest {
  u64 address;
  u64 iova;
  u64 size;
  Permissions permissions;
};

// As AddressSpace::CheckPinnable; EFAULT, too, where the memory would wrap or has no bytes.
Result<u64, AddressSpace::Unpinnable> CheckPinnable(AddressSpace& space, const DmaRequest& request);

// Maps memory of the caller, a page or more, into the address space that `where` gives, which is
// asked when the memory has been looked at: calls of others may come before. In this order:
// EINVAL: it gives none. EFAULT: the IOVA wraps. EBUSY: something is mapped there. ENOMEM: beyond
// kMostMappings, or RLIMIT_MEMLOCK. EFAULT: the memory cannot be pinned, or the IOMMU does not
// translate that far.
Result<> Map(CallContext& caller, const DmaRequest& request, const Iommu& iommu,
             const std::function<Ioas*()>& where);
// EFAULT, as intel_iommu_map() of that time: `range` ends where the IOMMU has not the levels for.
Result<> CheckTranslatable(const Iommu& iommu, IovaRange range);

// Removes a mapping, whose pages are not locked any more.
Ioas::Mappings::iterator Remove(Ioas& ioas, Ioas::Mappings::iterator it);
// Removes what is mapped in `size` bytes from `iova` on, at most up to the end of all addresses; of
// what lies across a border, the part inside. ENOMEM: one mapping would become two, beyond
// kMostMappings.
Result<> Cut(Ioas& ioas, u64 iova, u64 size);
void RemoveAll(Ioas& ioas);
u64 LockedPages(const Ioas& ioas);

}  // namespace vfiolab::early
