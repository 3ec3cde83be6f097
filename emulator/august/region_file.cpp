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

// Offsets of a mapping are those of the device's memory, where only the first begins at 0.
Result<> RegionFile::Mmap(CallContext& caller, const MmapRequest& request) {
  if (region_ != 0) return Fail(EINVAL, fmt::format("region {} cannot be mapped", region_));
  TRY(device_.CheckMmap(caller, request));
  mapped_ = true;
  return {};
}

}  // namespace vfiolab::august
