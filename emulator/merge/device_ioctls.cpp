// Which ioctls a device has in each revision.
#include "merge/device.hpp"

namespace vfiolab::merge {

using namespace uapi;

struct DeviceFile::Table {
  using enum Calls;
  using File = DeviceFile;
  static constexpr RevisedRow<File, Calls> kRows[] = {
      {{Number(kRead, 107, 8), "VFIO_DEVICE_GET_FLAGS", &File::GetFlags}, kOctober, kOctober},
      {{Number(kRead, 108, 4), "VFIO_DEVICE_GET_NUM_REGIONS", &File::GetNumRegions},
       kOctober,
       kOctober},
      {{Number(kBoth, 109, 40), "VFIO_DEVICE_GET_REGION_INFO", &File::GetRegionInfoOctober},
       kOctober,
       kOctober},
      {{Number(kRead, 110, 4), "VFIO_DEVICE_GET_NUM_IRQS", &File::GetNumIrqs}, kOctober, kOctober},
      {{Number(kBoth, 111, 24), "VFIO_DEVICE_GET_IRQ_INFO", &File::GetIrqInfoB0},
       kOctober,
       kOctober},
      {{Number(kBoth, 111, 20), "VFIO_DEVICE_GET_IRQ_INFO", &File::GetIrqInfoB0Of32Bit, true},
       kOctober,
       kOctober},
      {{Number(kWrite, 112, 4), "VFIO_DEVICE_SET_IRQ_EVENTFDS", &File::SetIrqEventfdsOctober},
       kOctober,
       kOctober},
      {{Number(kWrite, 113, 4), "VFIO_DEVICE_UNMASK_IRQ", &File::UnmaskIrqOctober},
       kOctober,
       kOctober},
      {{Number(kWrite, 114, 4), "VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFD", &File::SetUnmaskIrqEventfd},
       kOctober,
       kOctober},
      {{Plain(115), "VFIO_DEVICE_RESET", &File::Reset}, kOctober, kOctober},

      {{Number(kRead, 108, 8), "VFIO_DEVICE_GET_FLAGS", &File::GetFlags},
       kLateOctober,
       kLateOctober},
      {{Number(kRead, 109, 4), "VFIO_DEVICE_GET_NUM_REGIONS", &File::GetNumRegions},
       kLateOctober,
       kLateOctober},
      {{Number(kBoth, 110, 40), "VFIO_DEVICE_GET_REGION_INFO", &File::GetRegionInfoOctober},
       kLateOctober,
       kLateOctober},
      {{Number(kRead, 111, 4), "VFIO_DEVICE_GET_NUM_IRQS", &File::GetNumIrqs},
       kLateOctober,
       kLateOctober},
      {{Number(kBoth, 112, 16), "VFIO_DEVICE_GET_IRQ_INFO", &File::GetIrqInfoB1},
       kLateOctober,
       kLateOctober},
      {{Number(kWrite, 113, 4), "VFIO_DEVICE_SET_IRQ_EVENTFDS", &File::SetIrqEventfdsOctober},
       kLateOctober,
       kLateOctober},
      {{Number(kWrite, 114, 4), "VFIO_DEVICE_UNMASK_IRQ", &File::UnmaskIrqOctober},
       kLateOctober,
       kLateOctober},
      {{Number(kWrite, 115, 4), "VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFD", &File::SetUnmaskIrqEventfd},
       kLateOctober,
       kLateOctober},
      {{Plain(116), "VFIO_DEVICE_RESET", &File::Reset}, kLateOctober, kLateOctober},

      {{Plain(108), "VFIO_DEVICE_GET_INFO", &File::GetInfo}, kDecember, kJanuary},
      {{Plain(109), "VFIO_DEVICE_GET_REGION_INFO", &File::GetRegionInfo}, kDecember, kJanuary},
      {{Plain(110), "VFIO_DEVICE_GET_IRQ_INFO", &File::GetIrqInfo}, kDecember, kDecember},
      {{Plain(110), "VFIO_DEVICE_GET_IRQ_INFO", &File::GetSettableIrqInfo}, kJanuary, kJanuary},
      {{Plain(111), "VFIO_DEVICE_SET_IRQ_EVENTFDS", &File::SetIrqEventfds}, kDecember, kDecember},
      {{Plain(111), "VFIO_DEVICE_SET_IRQS", &File::SetIrqs}, kJanuary, kJanuary},
      {{Plain(112), "VFIO_DEVICE_UNMASK_IRQ", &File::UnmaskIrq}, kDecember, kDecember},
      {{Plain(113), "VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS", &File::SetUnmaskIrqEventfds},
       kDecember,
       kDecember},
      {{Plain(114), "VFIO_DEVICE_RESET", &File::Reset}, kDecember, kDecember},
      {{Plain(112), "VFIO_DEVICE_RESET", &File::Reset}, kJanuary, kJanuary},
  };
  static_assert(AreUnique(kRows));
  static_assert(sizeof(october::RegionInfo) == 40 && sizeof(october::IrqInfoB0) == 24 &&
                sizeof(october::IrqInfoB0Of32Bit) == 20);
};

NamedNumbers DeviceFile::IoctlNumbers(const Revision& revision) {
  return NumbersOf(Table::kRows, revision.calls);
}

Reply DeviceFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  return Dispatch(Table::kRows, *this, set_->revision().calls, caller, command, argument,
                  set_->revision().unknown_ioctl);
}

}  // namespace vfiolab::merge
