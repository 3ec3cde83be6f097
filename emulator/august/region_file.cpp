#include "august/files.hpp"

namespace vfiolab::august {

std::string RegionFile::Name() const {
  return fmt::format("[vfio-region {} {}]", device_.name(), region_);
}

Result<u64> RegionFile::InRegion(u64 offset) const {
  if (offset > kRegionOffsetMask) return Fail(EINVAL, fmt::format("offset {:#x}", offset));
  return u64{region_} << kRegionShift | offset;
}

Reply RegionFile::Read(CallContext& caller, std::span<std::byte> to, u64 offset) {
  const u64 at = TRY(InRegion(offset));
  return device_.Read(caller, to, at);
}

Reply RegionFile::Write(CallContext& caller, std::span<const std::byte> from, u64 offset) {
  const u64 at = TRY(InRegion(offset));
  return device_.Write(caller, from, at);
}

Result<u64> RegionFile::Mmap(CallContext& caller, const MmapRequest& request) {
  MmapRequest of_device = request;
  of_device.offset = TRY(InRegion(request.offset));
  const u64 begins = TRY(device_.Mmap(caller, of_device));
  if (begins != request.offset && !caller.can_trap())
    return Fail(EINVAL, "nobody can make a mapping of this client begin where the region does");
  mapped_ = true;
  return begins;
}

}  // namespace vfiolab::august
