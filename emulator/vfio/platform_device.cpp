#include "vfio/platform_device.hpp"

#include "machine/machine.hpp"
#include "machine/bus_unit.hpp"
#include "vfio/feature_request.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

namespace {

constexpr std::size_t kWidestCall = 4;  // of the kernel's own accesses
constexpr std::size_t kWidestLoad = 8;  // of a processor's

unsigned RegionAt(u64 offset) { return static_cast<unsigned>(offset >> kRegionShift); }

}  // namespace

void BoundPlatformDevice::Open() {
  if (opens_++ > 0) return;
  irqs_ = std::make_unique<PlatformIrqs>(slot_);
  if (slot_.has_reset()) slot_.Reset();
}

void BoundPlatformDevice::Close() {
  if (--opens_ > 0) return;
  if (slot_.has_reset()) slot_.Reset();
  irqs_.reset();
}

std::shared_ptr<OpenFile> BoundPlatformDevice::MakeFile(std::shared_ptr<GroupFile> group) {
  return std::make_shared<PlatformDeviceFile>(*this, std::move(group));
}

PlatformDeviceFile::PlatformDeviceFile(BoundPlatformDevice& device,
                                       std::shared_ptr<GroupFile> group)
    : device_(device), group_(std::move(group)) {
  ++group_->open_devices;
  device_.Open();
}

PlatformDeviceFile::~PlatformDeviceFile() {
  device_.Close();
  --group_->open_devices;
  device_.FinishGivingBack();
}

struct PlatformDeviceFile::Table {
  static constexpr auto kRows = uapi::Ioctls<PlatformDeviceFile>({
      {VFIO_DEVICE_GET_INFO, "VFIO_DEVICE_GET_INFO", &PlatformDeviceFile::GetInfo},
      {VFIO_DEVICE_GET_REGION_INFO, "VFIO_DEVICE_GET_REGION_INFO",
       &PlatformDeviceFile::GetRegionInfo},
      {VFIO_DEVICE_GET_IRQ_INFO, "VFIO_DEVICE_GET_IRQ_INFO", &PlatformDeviceFile::GetIrqInfo},
      {VFIO_DEVICE_SET_IRQS, "VFIO_DEVICE_SET_IRQS", &PlatformDeviceFile::SetIrqs},
      {VFIO_DEVICE_RESET, "VFIO_DEVICE_RESET", &PlatformDeviceFile::Reset},
      {VFIO_DEVICE_FEATURE, "VFIO_DEVICE_FEATURE", &PlatformDeviceFile::Feature},
  });
};

std::vector<const char*> PlatformDeviceFile::IoctlNames() {
  std::vector<const char*> names;
  for (const auto& row : Table::kRows) names.push_back(row.name);
  return names;
}

Reply PlatformDeviceFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  return Dispatch(Table::kRows, *this, caller, command, argument, ENOTTY);
}

Reply PlatformDeviceFile::GetInfo(const IoctlCall& call) {
  vfio_device_info info{};
  constexpr std::size_t kMinimum = VFIOLAB_END_OF(vfio_device_info, num_irqs);
  TRY(CopyIn(call, info, kMinimum));
  info.flags =
      VFIO_DEVICE_FLAGS_PLATFORM | (device_.slot().has_reset() ? VFIO_DEVICE_FLAGS_RESET : 0u);
  info.num_regions = static_cast<u32>(regions().size());
  info.num_irqs = device_.irqs().count();
  TRY(CopyOut(call, info, kMinimum));
  return 0;
}

bool PlatformDeviceFile::CanMap(u64 region, const CallContext& caller) const {
  // Each begins at a page, so its size decides.
  const RegionSpec& spec = regions()[region].spec;
  return spec.mapping != BarMapping::kNone && spec.size % kPageSize == 0 &&
         device_.slot().shared_memory_fd() >= 0 && caller.can_map_regions() &&
         (spec.mapping != BarMapping::kTrap || caller.can_trap());
}

Reply PlatformDeviceFile::GetRegionInfo(const IoctlCall& call) {
  vfio_region_info info{};
  TRY(CopyIn(call, info));
  if (info.index >= regions().size()) return Fail(EINVAL, fmt::format("no region {}", info.index));
  info.offset = u64{info.index} << kRegionShift;
  info.size = regions()[info.index].spec.size;
  info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
               (CanMap(info.index, call.caller) ? VFIO_REGION_INFO_FLAG_MMAP : 0u);
  TRY(CopyOut(call, info));
  return 0;
}

Reply PlatformDeviceFile::Reset(const IoctlCall&) {
  if (!device_.slot().has_reset()) return Fail(EINVAL, "nobody knows how to reset the device");
  device_.slot().Reset();
  return 0;
}

Reply PlatformDeviceFile::Feature(const IoctlCall& call) {
  const auto feature = TRY(CopyInFeature(call, device_.slot().machine().kernel().version));
  return Fail(ENOTTY, fmt::format("the device has no feature {}", feature.index));
}

Result<std::size_t> PlatformDeviceFile::CheckAccess(u64 offset, std::size_t count) const {
  const u64 region = offset >> kRegionShift, at = offset & kRegionOffsetMask;
  if (region >= regions().size()) return Fail(EINVAL, fmt::format("no region {}", region));
  const u64 size = regions()[region].spec.size;
  if (at >= size) return Fail(EINVAL, fmt::format("{:#x} in a region of {:#x}", at, size));
  return std::min<std::size_t>(count, size - at);
}

Reply PlatformDeviceFile::Read(CallContext& caller, std::span<std::byte> to, u64 offset) {
  to = to.first(TRY(CheckAccess(offset, to.size())));
  const auto read = [&](u64 at, std::span<std::byte> part) {
    device_.slot().ReadRegion(RegionAt(offset), at, part);
    return caller.ToClient(part);
  };
  TRY(InUnits(to, offset & kRegionOffsetMask, kWidestCall, read));
  return static_cast<long>(to.size());
}

Reply PlatformDeviceFile::Write(CallContext& caller, std::span<const std::byte> from, u64 offset) {
  from = from.first(TRY(CheckAccess(offset, from.size())));
  const auto write = [&](u64 at, std::span<const std::byte> part) -> Result<> {
    TRY(caller.FromClient(part));
    device_.slot().WriteRegion(RegionAt(offset), at, part);
    return {};
  };
  TRY(InUnits(from, offset & kRegionOffsetMask, kWidestCall, write));
  return static_cast<long>(from.size());
}

// A processor reaches what the bus has there; vfio-platform is not asked.
Result<> PlatformDeviceFile::CheckOnBus(u64 offset, std::size_t count) const {
  const auto inside = CheckAccess(offset, count);
  if (inside && *inside == count) return {};
  return Fail(EIO, fmt::format("no region has {} bytes at {:#x}", count, offset));
}

Reply PlatformDeviceFile::Load(CallContext&, std::span<std::byte> to, u64 offset) {
  TRY(CheckOnBus(offset, to.size()));
  const auto load = [&](u64 at, std::span<std::byte> part) -> Result<> {
    device_.slot().ReadRegion(RegionAt(offset), at, part);
    return {};
  };
  TRY(InUnits(to, offset & kRegionOffsetMask, kWidestLoad, load));
  return static_cast<long>(to.size());
}

Reply PlatformDeviceFile::Store(CallContext&, std::span<const std::byte> from, u64 offset) {
  TRY(CheckOnBus(offset, from.size()));
  const auto store = [&](u64 at, std::span<const std::byte> part) -> Result<> {
    device_.slot().WriteRegion(RegionAt(offset), at, part);
    return {};
  };
  TRY(InUnits(from, offset & kRegionOffsetMask, kWidestLoad, store));
  return static_cast<long>(from.size());
}

Result<> PlatformDeviceFile::Mmap(CallContext& caller, const MmapRequest& request) {
  const u64 region = request.offset >> kRegionShift, at = request.offset & kRegionOffsetMask;
  if (!request.shared) return Fail(EINVAL, "regions are mapped MAP_SHARED or not at all");
  if (region >= regions().size() || !CanMap(region, caller))
    return Fail(EINVAL, fmt::format("region {} cannot be mapped", region));
  const u64 size = regions()[region].spec.size;
  const u64 length = (request.length + kPageSize - 1) & ~(kPageSize - 1);
  if (at >= size || length > size - at)
    return Fail(EINVAL, fmt::format("{:#x} + {:#x} of {:#x}", at, request.length, size));
  mapped_ = true;
  return {};
}

}  // namespace vfiolab::vfio
