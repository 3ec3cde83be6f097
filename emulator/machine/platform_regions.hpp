// Regions of a platform device as ranges of a file's offsets: region n begins at
// n << kRegionShift (vfio_platform_common.c).
#pragma once
#include "machine/platform_slot.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab {

class PlatformRegions {
 public:
  explicit PlatformRegions(PlatformSlot& slot) : slot_(slot) {}

  std::size_t count() const { return slot_.device().regions().size(); }
  u64 Size(u64 region) const;  // 0 where there is none
  // Whether a mapping by this client could reach it.
  bool CanMap(u64 region, const CallContext& caller) const;

  // EINVAL: no such region, or beyond its end; an access across it is cut. EFAULT: the buffer.
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset);
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset);
  // Of a processor, on a mapping. EIO: nothing is there.
  Reply Load(std::span<std::byte> to, u64 offset);
  Reply Store(std::span<const std::byte> from, u64 offset);
  // Where in the device's memory the mapping begins. EINVAL: it cannot be mapped.
  Result<u64> Mmap(CallContext& caller, const MmapRequest& request) const;

 private:
  Result<std::size_t> CheckAccess(u64 offset, std::size_t count) const;
  Result<> CheckOnBus(u64 offset, std::size_t count) const;

  PlatformSlot& slot_;
};

}  // namespace vfiolab
