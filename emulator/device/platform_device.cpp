#include "device/platform_device.hpp"

namespace vfiolab {

void PlatformDevice::Reset() {
  for (Region& region : regions_) region.handler->Reset();
  OnReset();
}

MemoryBar& PlatformDevice::AddMemoryRegion(u64 size) {
  CHECK_OURS(size % kPageSize == 0);
  const auto index = static_cast<unsigned>(regions_.size());
  return AddHandler(RegionSpec{.size = size, .mapping = BarMapping::kMemory},
                    std::make_unique<MemoryBar>(host_.AllocateRegionMemory(index, size)));
}

PolledBar& PlatformDevice::AddPolledRegion(u64 size, PolledBar::Stored stored) {
  CHECK_OURS(size % kPageSize == 0);
  const auto index = static_cast<unsigned>(regions_.size());
  return AddHandler(
      RegionSpec{.size = size, .mapping = BarMapping::kPoll},
      std::make_unique<PolledBar>(host_.AllocateRegionMemory(index, size), std::move(stored)));
}

}  // namespace vfiolab
