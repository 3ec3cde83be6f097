// The ioctls of each revision, and those that are about interrupts.
#include "uiommu/device.hpp"

namespace vfiolab::uiommu {
namespace {

constexpr u32 kLetter = ';';
constexpr u32 kNone = 0, kWrite = 1, kBoth = 3;

// asm-generic/ioctl.h
constexpr u32 Number(u32 direction, u32 number, std::size_t size) {
  return direction << 30 | static_cast<u32>(size) << 16 | kLetter << 8 | number;
}

constexpr u32 kMap = Number(kBoth, 101, sizeof(DmaMap));

// An int, and as many more as it says.
template <class Check>
Result<std::vector<int>> CopyInList(const uapi::IoctlCall& call, Check check) {
  const int count = TRY(call.caller.memory().Load<int>(call.pointer()));
  TRY(check(count));
  std::vector<int> list(static_cast<std::size_t>(count));
  TRY(call.caller.memory().Read(call.pointer() + sizeof count,
                                std::as_writable_bytes(std::span{list})));
  return list;
}

}  // namespace

struct DeviceFile::Tables {
  static constexpr auto kOctober = uapi::Ioctls<DeviceFile>({
      {kMap, "VFIO_DMA_MAP_IOVA", &DeviceFile::MapForFile},
      {Number(kWrite, 102, sizeof(DmaMap)), "VFIO_DMA_UNMAP", &DeviceFile::UnmapForFile},
      {Number(kWrite, 103, 4), "VFIO_EVENTFD_IRQ", &DeviceFile::SetIntx},
      {Number(kWrite, 104, 4), "VFIO_EVENTFDS_MSI", &DeviceFile::SetMsi},
      {Number(kWrite, 105, 4), "VFIO_EVENTFDS_MSIX", &DeviceFile::SetMsix},
      {Number(kBoth, 167, 4), "VFIO_BAR_LEN", &DeviceFile::GetBarLength32},
      {Number(kWrite, 107, 4), "VFIO_DOMAIN_SET", &DeviceFile::SetDomain},
      {Number(kNone, 108, 0), "VFIO_DOMAIN_UNSET", &DeviceFile::UnsetDomain},
  });
  static constexpr auto kApril = uapi::Ioctls<DeviceFile>({
      {kMap, "VFIO_DMA_MAP_IOVA", &DeviceFile::MapForFile},
      {Number(kWrite, 102, sizeof(DmaMap)), "VFIO_DMA_UNMAP", &DeviceFile::UnmapForFile},
      {Number(kWrite, 103, 4), "VFIO_EVENTFD_IRQ", &DeviceFile::SetIntx},
      {Number(kWrite, 104, 4), "VFIO_EVENTFDS_MSI", &DeviceFile::SetMsi},
      {Number(kWrite, 105, 4), "VFIO_EVENTFDS_MSIX", &DeviceFile::SetMsix},
      {Number(kBoth, 167, 4), "VFIO_BAR_LEN", &DeviceFile::GetBarLength32},
      {Number(kWrite, 107, 4), "VFIO_DOMAIN_SET", &DeviceFile::SetDomain},
      {Number(kNone, 108, 0), "VFIO_DOMAIN_UNSET", &DeviceFile::UnsetDomain},
      {Number(kNone, 109, 0), "VFIO_IRQ_EOI", &DeviceFile::EndOfIntx},
      {Number(kWrite, 110, 4), "VFIO_IRQ_EOI_EVENTFD", &DeviceFile::SetEndOfIntx},
      {Number(kNone, 111, 0), "VFIO_RESET_FUNCTION", &DeviceFile::Reset},
  });
  // Clients of that month had either number for VFIO_BAR_LEN.
  static constexpr auto kJune = uapi::Ioctls<DeviceFile>({
      {kMap, "VFIO_DMA_MAP_IOVA", &DeviceFile::MapInDomain},
      {Number(kWrite, 102, sizeof(DmaMap)), "VFIO_DMA_UNMAP", &DeviceFile::UnmapInDomain},
      {Number(kWrite, 103, 4), "VFIO_EVENTFD_IRQ", &DeviceFile::SetIntx},
      {Number(kWrite, 104, 4), "VFIO_EVENTFDS_MSI", &DeviceFile::SetMsi},
      {Number(kWrite, 105, 4), "VFIO_EVENTFDS_MSIX", &DeviceFile::SetMsix},
      {Number(kBoth, 106, 8), "VFIO_BAR_LEN", &DeviceFile::GetBarLength},
      {Number(kBoth, 167, 4), "VFIO_BAR_LEN", &DeviceFile::GetBarLength32},
      {Number(kWrite, 107, 4), "VFIO_DOMAIN_SET", &DeviceFile::SetDomain},
      {Number(kNone, 108, 0), "VFIO_DOMAIN_UNSET", &DeviceFile::UnsetDomain},
      {Number(kNone, 109, 0), "VFIO_IRQ_EOI", &DeviceFile::EndOfIntx},
      {Number(kWrite, 110, 4), "VFIO_IRQ_EOI_EVENTFD", &DeviceFile::SetEndOfIntx},
      {Number(kNone, 111, 0), "VFIO_RESET_FUNCTION", &DeviceFile::Reset},
  });
  static constexpr auto kJuly = uapi::Ioctls<DeviceFile>({
      {kMap, "VFIO_MAP_DMA", &DeviceFile::MapInDomain},
      {Number(kBoth, 102, sizeof(DmaMap)), "VFIO_UNMAP_DMA", &DeviceFile::UnmapInDomain},
      {Number(kWrite, 103, 4), "VFIO_SET_IRQ_EVENTFD", &DeviceFile::SetIntx},
      {Number(kWrite, 104, 4), "VFIO_SET_MSI_EVENTFDS", &DeviceFile::SetMsi},
      {Number(kWrite, 105, 4), "VFIO_SET_MSIX_EVENTFDS", &DeviceFile::SetMsix},
      {Number(kBoth, 106, 8), "VFIO_GET_BAR_LEN", &DeviceFile::GetBarLength},
      {Number(kWrite, 107, 4), "VFIO_SET_UIOMMU_DOMAIN", &DeviceFile::SetOrUnsetDomain},
      {Number(kNone, 108, 0), "VFIO_UNMASK_IRQ", &DeviceFile::EndOfIntx},
      {Number(kWrite, 109, 4), "VFIO_SET_UNMASK_IRQ_EVENTFD", &DeviceFile::SetEndOfIntx},
      {Number(kNone, 110, 0), "VFIO_RESET_FUNCTION", &DeviceFile::Reset},
  });

  template <class Act>
  static auto OfRevision(const Revision& revision, Act act) {
    switch (revision.calls) {
      case Calls::kOctober:
        return act(kOctober);
      case Calls::kApril:
        return act(kApril);
      case Calls::kJune:
        return act(kJune);
      case Calls::kJuly:
        break;
    }
    return act(kJuly);
  }
};

Reply DeviceFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  return Tables::OfRevision(device_.revision(), [&](const auto& table) {
    return Dispatch(table, *this, caller, command, argument, EINVAL);
  });
}

std::vector<std::pair<const char*, u32>> DeviceFile::IoctlNumbers(const Revision& revision) {
  return Tables::OfRevision(revision, [](const auto& table) {
    std::vector<std::pair<const char*, u32>> numbers;
    for (const auto& row : table) numbers.emplace_back(row.name, row.command);
    return numbers;
  });
}

Reply DeviceFile::SetIntx(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  TRY(device_.function().irqs().SetIntx(call.caller, fd));
  return 0;
}

Reply DeviceFile::SetMsi(const IoctlCall& call) {
  const auto check = [&](int count) { return device_.function().irqs().CheckMsi(count); };
  const std::vector<int> fds = TRY(CopyInList(call, check));
  TRY(device_.function().irqs().SetMsi(call.caller, fds));
  return 0;
}

Reply DeviceFile::SetMsix(const IoctlCall& call) {
  const auto check = [&](int count) { return device_.function().irqs().CheckMsix(count); };
  const std::vector<int> fds = TRY(CopyInList(call, check));
  TRY(device_.function().irqs().SetMsix(call.caller, fds));
  return 0;
}

Reply DeviceFile::EndOfIntx(const IoctlCall&) {
  device_.function().irqs().EndOfIntx();
  return 0;
}

Reply DeviceFile::SetEndOfIntx(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  TRY(device_.function().irqs().SetEndOfIntx(call.caller, fd));
  return 0;
}

}  // namespace vfiolab::uiommu
