#include "vfio/platform_device.hpp"

#include "machine/machine.hpp"
#include "vfio/feature_request.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

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
    : device_(device), group_(std::move(group)), regions_(device.slot()) {
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
  info.num_regions = static_cast<u32>(regions_.count());
  info.num_irqs = device_.irqs().count();
  TRY(CopyOut(call, info, kMinimum));
  return 0;
}

Reply PlatformDeviceFile::GetRegionInfo(const IoctlCall& call) {
  vfio_region_info info{};
  TRY(CopyIn(call, info));
  if (info.index >= regions_.count()) return Fail(EINVAL, fmt::format("no region {}", info.index));
  info.offset = u64{info.index} << kRegionShift;
  info.size = regions_.Size(info.index);
  info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
               (regions_.CanMap(info.index, call.caller) ? VFIO_REGION_INFO_FLAG_MMAP : 0u);
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

Result<u64> PlatformDeviceFile::Mmap(CallContext& caller, const MmapRequest& request) {
  const u64 begins = TRY(regions_.Mmap(caller, request));
  mapped_ = true;
  return begins;
}

}  // namespace vfiolab::vfio
