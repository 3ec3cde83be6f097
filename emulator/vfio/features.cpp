// VFIO_DEVICE_FEATURE: what a device can do beyond the other ioctls (vfio_main.c, vfio_pci_core.c).
#include "vfio/device.hpp"
#include "vfio/feature_request.hpp"

namespace vfiolab::vfio {

using uapi::IoctlCall;

namespace {

constexpr u32 kGet = VFIO_DEVICE_FEATURE_GET, kSet = VFIO_DEVICE_FEATURE_SET;
constexpr u32 kProbe = VFIO_DEVICE_FEATURE_PROBE;

}  // namespace

Result<FeatureRequest> CopyInFeature(const IoctlCall& call, const KernelVersion& kernel) {
  constexpr u32 kMigrationPrecopyInfo = 12;
  vfio_device_feature feature{};
  TRY(uapi::CopyIn(call, feature));
  const u32 operation = feature.flags & (kGet | kSet);
  if (feature.flags & ~(VFIO_DEVICE_FEATURE_MASK | kGet | kSet | kProbe))
    return Fail(EINVAL, fmt::format("unknown flags {:#x}", feature.flags));
  if (!(feature.flags & kProbe) && operation == (kGet | kSet))
    return Fail(EINVAL, "GET and SET at once");
  const u32 index = feature.flags & VFIO_DEVICE_FEATURE_MASK;
  if (index == kMigrationPrecopyInfo && kernel.precopy_info_feature)
    return Fail(EINVAL, "a device without migration has no pre-copy");  // asked even before PROBE
  return FeatureRequest{feature.argsz, feature.flags, index, operation};
}

Reply DeviceFile::Feature(const IoctlCall& call) {
  constexpr u32 kVfToken = 0, kLowPowerEntry = 3, kLowPowerEntryWithWakeup = 4, kLowPowerExit = 5;
  constexpr u32 kDmaBuf = 11;
  const KernelVersion& kernel = device_.slot().machine().kernel().version;
  const auto [argsz, flags, index, operation] = TRY(CopyInFeature(call, kernel));
  if (index == kDmaBuf && kernel.dma_buf_feature) {
    if (operation & kSet) return Fail(EINVAL, "the feature cannot be set");
    if (flags & kProbe) return 0;
    if (operation != kGet) return Fail(EINVAL, "neither GET nor SET");
    return GetDmaBuf(call, argsz);
  }
  const bool token = index == kVfToken && device_.has_token();
  if (!token && (index < kLowPowerEntry || index > kLowPowerExit))
    return Fail(ENOTTY, fmt::format("the device has no feature {}", index));
  if (operation & kGet) return Fail(EINVAL, "the feature cannot be read");
  if (flags & kProbe) return 0;
  if (operation != kSet) return Fail(EINVAL, "neither GET nor SET");
  if (token) return SetToken(call, argsz);
  if (index == kLowPowerExit) {
    device_.LeaveLowPower();
    return 0;
  }
  return EnterLowPower(call, argsz, index == kLowPowerEntryWithWakeup);
}

Reply DeviceFile::SetToken(const IoctlCall& call, u32 argsz) {
  if (argsz - sizeof(vfio_device_feature) < sizeof(Uuid))
    return Fail(EINVAL, fmt::format("argsz {} leaves no room for the token", argsz));
  device_.set_token(
      TRY(call.caller.memory().Load<Uuid>(call.pointer() + sizeof(vfio_device_feature))));
  return 0;
}

Reply DeviceFile::EnterLowPower(const IoctlCall& call, u32 argsz, bool with_wakeup) {
  struct Wakeup {
    std::int32_t eventfd;
    u32 reserved;
  };
  std::optional<Eventfd> eventfd;
  if (with_wakeup) {
    if (argsz - sizeof(vfio_device_feature) < sizeof(Wakeup))
      return Fail(EINVAL, fmt::format("argsz {} leaves no room for the eventfd", argsz));
    const auto wakeup =
        TRY(call.caller.memory().Load<Wakeup>(call.pointer() + sizeof(vfio_device_feature)));
    if (wakeup.eventfd < 0) return Fail(EINVAL, fmt::format("descriptor {}", wakeup.eventfd));
    eventfd.emplace(TRY(call.caller.ImportEventfd(wakeup.eventfd)));
  }
  if (!device_.EnterLowPower(std::move(eventfd))) return Fail(EINVAL, "already in low power");
  return 0;
}

}  // namespace vfiolab::vfio
