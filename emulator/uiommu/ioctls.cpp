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
  struct Row : uapi::IoctlRow<DeviceFile> {
    Calls first, last;  // of the revisions that have it
    bool IsIn(const Revision& revision) const {
      return first <= revision.calls && revision.calls <= last;
    }
  };
  using enum Calls;
  static constexpr Row kRows[] = {
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
      {{Number(kNone, 108, 0), "VFIO_DOMAIN_UNSET", &DeviceFile::UnsetDomain}, kOctober, kJune},
      {{Number(kNone, 109, 0), "VFIO_IRQ_EOI", &DeviceFile::EndOfIntx}, kApril, kJune},
      {{Number(kWrite, 110, 4), "VFIO_IRQ_EOI_EVENTFD", &DeviceFile::SetEndOfIntx}, kApril, kJune},
      {{Number(kNone, 111, 0), "VFIO_RESET_FUNCTION", &DeviceFile::Reset}, kApril, kJune},
      {{kMap, "VFIO_MAP_DMA", &DeviceFile::MapInDomain}, kJuly, kJuly},
      {{Number(kBoth, 102, sizeof(DmaMap)), "VFIO_UNMAP_DMA", &DeviceFile::UnmapInDomain},
       kJuly,
       kJuly},
      {{kIntx, "VFIO_SET_IRQ_EVENTFD", &DeviceFile::SetIntx}, kJuly, kJuly},
      {{kMsi, "VFIO_SET_MSI_EVENTFDS", &DeviceFile::SetMsi}, kJuly, kJuly},
      {{kMsix, "VFIO_SET_MSIX_EVENTFDS", &DeviceFile::SetMsix}, kJuly, kJuly},
      {{kBarLength, "VFIO_GET_BAR_LEN", &DeviceFile::GetBarLength}, kJuly, kJuly},
      {{kDomain, "VFIO_SET_UIOMMU_DOMAIN", &DeviceFile::SetOrUnsetDomain}, kJuly, kJuly},
      {{Number(kNone, 108, 0), "VFIO_UNMASK_IRQ", &DeviceFile::EndOfIntx}, kJuly, kJuly},
      {{Number(kWrite, 109, 4), "VFIO_SET_UNMASK_IRQ_EVENTFD", &DeviceFile::SetEndOfIntx},
       kJuly,
       kJuly},
      {{Number(kNone, 110, 0), "VFIO_RESET_FUNCTION", &DeviceFile::Reset}, kJuly, kJuly},
  };
};

Reply DeviceFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  for (const Table::Row& row : Table::kRows)
    if (row.command == command && row.IsIn(device_.revision()))
      return (this->*row.handler)(IoctlCall{caller, row.name, argument});
  return Fail(EINVAL, fmt::format("unknown ioctl {:#x}", command));
}

std::vector<std::pair<const char*, u32>> DeviceFile::IoctlNumbers(const Revision& revision) {
  std::vector<std::pair<const char*, u32>> numbers;
  for (const Table::Row& row : Table::kRows)
    if (row.IsIn(revision)) numbers.emplace_back(row.name, row.command);
  return numbers;
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
