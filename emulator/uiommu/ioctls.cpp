// The ioctls of each revision, and those that are about interrupts.
#include "uiommu/device.hpp"

namespace vfiolab::uiommu {
namespace {

using namespace uapi;

// Those that all revisions have, some under two names.
constexpr u32 kMap = Number(kBoth, 101, sizeof(DmaMap)),
              kUnmap = Number(kWrite, 102, sizeof(DmaMap)), kIntx = Number(kWrite, 103, 4),
              kMsi = Number(kWrite, 104, 4), kMsix = Number(kWrite, 105, 4),
              kBarLength = Number(kBoth, 106, 8), kDomain = Number(kWrite, 107, 4);

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

struct DeviceFile::Table {
  using enum Calls;
  static constexpr RevisedRow<DeviceFile, Calls> kRows[] = {
      {{kMap, "VFIO_DMA_MAP_IOVA", &DeviceFile::MapForFile}, kOctober, kApril},
      {{kMap, "VFIO_DMA_MAP_IOVA", &DeviceFile::MapInDomain}, kJune, kJune},
      {{kUnmap, "VFIO_DMA_UNMAP", &DeviceFile::UnmapForFile}, kOctober, kApril},
      {{kUnmap, "VFIO_DMA_UNMAP", &DeviceFile::UnmapInDomain}, kJune, kJune},
      {{kIntx, "VFIO_EVENTFD_IRQ", &DeviceFile::SetIntx}, kOctober, kJune},
      {{kMsi, "VFIO_EVENTFDS_MSI", &DeviceFile::SetMsi}, kOctober, kJune},
      {{kMsix, "VFIO_EVENTFDS_MSIX", &DeviceFile::SetMsix}, kOctober, kJune},
      // Clients of June had either number.
      {{kBarLength, "VFIO_BAR_LEN", &DeviceFile::GetBarLength}, kJune, kJune},
      {{Number(kBoth, 167, 4), "VFIO_BAR_LEN", &DeviceFile::GetBarLength32}, kOctober, kJune},
      {{kDomain, "VFIO_DOMAIN_SET", &DeviceFile::SetDomain}, kOctober, kJune},
      {{Plain(108), "VFIO_DOMAIN_UNSET", &DeviceFile::UnsetDomain}, kOctober, kJune},
      {{Plain(109), "VFIO_IRQ_EOI", &DeviceFile::EndOfIntx}, kApril, kJune},
      {{Number(kWrite, 110, 4), "VFIO_IRQ_EOI_EVENTFD", &DeviceFile::SetEndOfIntx}, kApril, kJune},
      {{Plain(111), "VFIO_RESET_FUNCTION", &DeviceFile::Reset}, kApril, kJune},
      {{kMap, "VFIO_MAP_DMA", &DeviceFile::MapInDomain}, kJuly, kJuly},
      {{Number(kBoth, 102, sizeof(DmaMap)), "VFIO_UNMAP_DMA", &DeviceFile::UnmapInDomain},
       kJuly,
       kJuly},
      {{kIntx, "VFIO_SET_IRQ_EVENTFD", &DeviceFile::SetIntx}, kJuly, kJuly},
      {{kMsi, "VFIO_SET_MSI_EVENTFDS", &DeviceFile::SetMsi}, kJuly, kJuly},
      {{kMsix, "VFIO_SET_MSIX_EVENTFDS", &DeviceFile::SetMsix}, kJuly, kJuly},
      {{kBarLength, "VFIO_GET_BAR_LEN", &DeviceFile::GetBarLength}, kJuly, kJuly},
      {{kDomain, "VFIO_SET_UIOMMU_DOMAIN", &DeviceFile::SetOrUnsetDomain}, kJuly, kJuly},
      {{Plain(108), "VFIO_UNMASK_IRQ", &DeviceFile::EndOfIntx}, kJuly, kJuly},
      {{Number(kWrite, 109, 4), "VFIO_SET_UNMASK_IRQ_EVENTFD", &DeviceFile::SetEndOfIntx},
       kJuly,
       kJuly},
      {{Plain(110), "VFIO_RESET_FUNCTION", &DeviceFile::Reset}, kJuly, kJuly},
  };
  static_assert(AreUnique(kRows));
};

Reply DeviceFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  return Dispatch(Table::kRows, *this, device_.revision().calls, caller, command, argument, EINVAL);
}

uapi::NamedNumbers DeviceFile::IoctlNumbers(const Revision& revision) {
  return NumbersOf(Table::kRows, revision.calls);
}

Reply DeviceFile::SetIntx(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  TRY(device_.irqs().SetIntx(call.caller, fd));
  return 0;
}

Reply DeviceFile::SetMsi(const IoctlCall& call) {
  const auto check = [&](int count) { return device_.irqs().CheckMsi(count); };
  const std::vector<int> fds = TRY(CopyInList(call, check));
  TRY(device_.irqs().SetMsi(call.caller, fds));
  return 0;
}

Reply DeviceFile::SetMsix(const IoctlCall& call) {
  const auto check = [&](int count) { return device_.irqs().CheckMsix(count); };
  const std::vector<int> fds = TRY(CopyInList(call, check));
  TRY(device_.irqs().SetMsix(call.caller, fds));
  return 0;
}

Reply DeviceFile::EndOfIntx(const IoctlCall&) {
  device_.irqs().EndOfIntx();
  return 0;
}

Reply DeviceFile::SetEndOfIntx(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  TRY(device_.irqs().SetEndOfIntx(call.caller, fd));
  return 0;
}

}  // namespace vfiolab::uiommu
