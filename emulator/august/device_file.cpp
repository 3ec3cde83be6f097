#include <linux/vfio.h>

#include "august/dma.hpp"
#include "august/files.hpp"
#include "august/structs.hpp"
#include "august/table.hpp"

namespace vfiolab::august {

using namespace uapi;

struct DeviceFile::Table {
  using File = DeviceFile;
  static constexpr Row<File> kRows[] = {
      {{Number(kRead, 48, sizeof(DeviceInfo)), "VFIO_DEVICE_GET_INFO", &File::GetInfo}},
      {{Number(kBoth, 49, sizeof(RegionInfo)), "VFIO_DEVICE_GET_REGION_INFO",
        &File::GetRegionInfo}},
      {{Number(kBoth, 50, sizeof(IrqInfo)), "VFIO_DEVICE_GET_IRQ_INFO", &File::GetIrqInfo}},
      {{Number(kWrite, 51, 4), "VFIO_DEVICE_SET_IRQ_EVENTFDS", &File::SetIrqEventfds}},
      {{Number(kWrite, 52, 4), "VFIO_DEVICE_UNMASK_IRQ", &File::UnmaskIrq}},
      {{Plain(53), "VFIO_DEVICE_RESET", &File::Reset}},
      {{Number(kWrite, 54, 4), "VFIO_DEVICE_INHERIT", &File::Inherit}, MapsOnGroup},
      {{Number(kWrite, 55, 4), "VFIO_DEVICE_SET_UIOMMU", &File::SetUiommu}, MapsByUiommu},
      {{Number(kWrite, 56, sizeof(DmaMap)), "VFIO_DEVICE_MAP_DMA", &File::MapDma}, MapsByUiommu},
      {{Number(kWrite, 57, sizeof(DmaMap)), "VFIO_DEVICE_UNMAP_DMA", &File::UnmapDma},
       MapsByUiommu},
      {{Number(kWrite, 58, 4), "VFIO_DEVICE_GET_PCI_BAR_FD", &File::GetPciBarFd}, HasRegionFiles},
      {{Plain(59), "VFIO_DEVICE_GET_PCI_CONFIG_FD", &File::GetPciConfigFd}, HasRegionFiles},
      {{Number(kWrite, 60, 4), "VFIO_DEVICE_GET_MMIO_FD", &File::GetMmioFd}, HasRegionFiles},
  };
};

NamedNumbers DeviceFile::IoctlNumbers(const AugustPolicies& policies) {
  return NumbersOf(Table::kRows, policies);
}

Reply DeviceFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  return Dispatch(Table::kRows, *this, group_.policies(), caller, command, argument, ENOTTY);
}

Result<u64> DeviceFile::Mmap(CallContext& caller, const MmapRequest& request) {
  if (!segmented()) return Fail(EINVAL, "each region has a descriptor of its own");
  const u64 begins = TRY(device_.Mmap(caller, request));
  mapped_ = true;
  return begins;
}

Reply DeviceFile::GetInfo(const IoctlCall& call) {
  const DeviceInfo info{.flags = (device_.is_pci() ? kDevicePci : kDevicePlatform) |
                                 (device_.was_reset() ? kDeviceReset : 0u),
                        .regions = device_.regions(),
                        .irqs = device_.irqs(),
                        .reserved = 0};
  TRY(call.caller.memory().Store(call.pointer(), info));
  return 0;
}

Reply DeviceFile::GetRegionInfo(const IoctlCall& call) {
  auto info = TRY(call.caller.memory().Load<RegionInfo>(call.pointer()));
  if (info.index >= device_.regions()) return Fail(EINVAL, fmt::format("no region {}", info.index));
  const bool mappable = (segmented() || info.index == 0) && device_.CanMap(call.caller, info.index);
  info.flags =
      (mappable ? kRegionMmap : 0u) | (device_.IsReadOnly(info.index) ? kRegionReadOnly : 0u);
  info.size = device_.RegionSize(info.index);
  info.offset = segmented() ? u64{info.index} << kRegionShift : 0;
  TRY(call.caller.memory().Store(call.pointer(), info));
  return 0;
}

Reply DeviceFile::GetIrqInfo(const IoctlCall& call) {
  auto info = TRY(call.caller.memory().Load<IrqInfo>(call.pointer()));
  if (info.index >= device_.irqs())
    return Fail(EINVAL, fmt::format("no interrupt index {}", info.index));
  info.count = device_.IrqCount(info.index);
  info.flags = device_.IsLevel(info.index) ? kIrqLevel : 0;
  TRY(call.caller.memory().Store(call.pointer(), info));
  return 0;
}

Reply DeviceFile::SetIrqEventfds(const IoctlCall& call) {
  struct {
    u32 index;
    int count;
  } head{};
  TRY(call.caller.memory().Read(call.pointer(), BytesOf(head)));
  if (head.index >= device_.irqs() || head.count < 0)
    return Fail(EINVAL, fmt::format("{} eventfds of index {}", head.count, head.index));
  TRY(device_.SetEventfds(call.caller, head.index, static_cast<u32>(head.count),
                          call.pointer() + sizeof head));
  return 0;
}

Reply DeviceFile::UnmaskIrq(const IoctlCall& call) {
  const u32 index = TRY(call.caller.memory().Load<u32>(call.pointer()));
  TRY(device_.Unmask(index));
  return 0;
}

Reply DeviceFile::Reset(const IoctlCall&) {
  if (!device_.was_reset()) return Fail(EINVAL, "the device cannot be reset");
  device_.Reset();
  return 0;
}

// The device names another whose memory it wants to see: its group is bound to the other's.
Reply DeviceFile::Inherit(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  const auto file = TRY(call.caller.ImportOpenFile(fd));
  auto* other = dynamic_cast<DeviceFile*>(file.get());
  if (other == nullptr) return Fail(EINVAL, fmt::format("descriptor {} is no device", fd));
  TRY(group_.BindTo(other->group_));
  return 0;
}

Reply DeviceFile::SetUiommu(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  if (fd < 0) {
    device_.LeaveDomain(group_);
    return 0;
  }
  const auto file = TRY(call.caller.ImportOpenFile(fd));
  const auto* domain = dynamic_cast<const uiommu::DomainFile*>(file.get());
  if (domain == nullptr) return Fail(EINVAL, fmt::format("descriptor {} is no uiommu", fd));
  TRY(device_.EnterDomain(group_, domain->domain()));
  return 0;
}

Reply DeviceFile::MapDma(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<DmaMap>(call.pointer()));
  TRY(Map(call.caller, map, group_.machine().iommu(), [this] {
    return device_.domain() == nullptr ? nullptr : device_.domain()->ioas().get();
  }));
  return 0;
}

Reply DeviceFile::UnmapDma(const IoctlCall& call) {
  const auto map = TRY(call.caller.memory().Load<DmaMap>(call.pointer()));
  if (device_.domain() == nullptr) return Fail(EINVAL, "the device is in no uiommu");
  TRY(Unmap(map, *device_.domain()->ioas()));
  return 0;
}

Completion DeviceFile::OpenRegion(u32 region) {
  return {0L, std::make_shared<RegionFile>(device_, group_, region), {}, O_RDWR};
}

Reply DeviceFile::GetPciBarFd(const IoctlCall& call) {
  const u32 bar = TRY(call.caller.memory().Load<u32>(call.pointer()));
  if (!device_.is_pci() || bar > VFIO_PCI_ROM_REGION_INDEX || device_.RegionSize(bar) == 0)
    return Fail(EINVAL, fmt::format("no BAR{}", bar));
  return OpenRegion(bar);
}

Reply DeviceFile::GetPciConfigFd(const IoctlCall&) {
  if (!device_.is_pci()) return Fail(EINVAL, "the device has no config space");
  return OpenRegion(VFIO_PCI_CONFIG_REGION_INDEX);
}

Reply DeviceFile::GetMmioFd(const IoctlCall& call) {
  const u32 region = TRY(call.caller.memory().Load<u32>(call.pointer()));
  if (device_.is_pci() || region >= device_.regions())
    return Fail(EINVAL, fmt::format("no MMIO region {}", region));
  return OpenRegion(region);
}

}  // namespace vfiolab::august
