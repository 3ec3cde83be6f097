// The device's ioctls since December 2011: their structs begin with argsz and flags.
#include "merge/device.hpp"

namespace vfiolab::merge {

using namespace uapi;

Reply DeviceFile::GetInfo(const IoctlCall& call) {
  DeviceInfo info{};
  TRY(CopyIn(call, info));
  info.flags = kDevicePci | (device_.function().was_reset() ? kDeviceReset : 0);
  info.regions = kRegions;
  info.irqs = kIrqs;
  TRY(CopyOut(call, info));
  return 0;
}

Reply DeviceFile::GetRegionInfo(const IoctlCall& call) {
  RegionInfo info{};
  TRY(CopyIn(call, info));
  if (info.index >= kRegions) return Fail(EINVAL, fmt::format("no region {}", info.index));
  info.offset = RegionOffset(info.index);
  info.size = regions_.Size(info.index);
  info.flags = RegionFlags(call.caller, info.index);
  TRY(CopyOut(call, info));
  return 0;
}

Reply DeviceFile::GetIrqInfo(const IoctlCall& call) {
  IrqInfo info{};
  TRY(CopyIn(call, info));
  if (info.index >= kIrqs) return Fail(EINVAL, fmt::format("no interrupt index {}", info.index));
  info.count = IrqCount(info.index);
  info.flags = IrqFlags(info.index);
  TRY(CopyOut(call, info));
  return 0;
}

Reply DeviceFile::SetIrqEventfds(const IoctlCall& call) {
  IrqEventfds set{};
  TRY(CopyIn(call, set));
  if (set.flags != 0 || set.index >= kIrqs)
    return Fail(EINVAL, fmt::format("flags {:#x}, index {}", set.flags, set.index));
  if ((set.argsz - sizeof set) / sizeof(int) < set.count)
    return Fail(EINVAL, fmt::format("argsz {} is short of {} eventfds", set.argsz, set.count));
  if (set.count > IrqCount(set.index))
    return Fail(EINVAL, fmt::format("{} eventfds for {}", set.count, IrqCount(set.index)));
  TRY(device_.irqs().SetEventfds(call.caller, set.index, set.count, call.pointer() + sizeof set));
  return 0;
}

Reply DeviceFile::UnmaskIrq(const IoctlCall& call) {
  merge::UnmaskIrq unmask{};
  TRY(CopyIn(call, unmask));
  if (unmask.flags != 0 || unmask.index != VFIO_PCI_INTX_IRQ_INDEX || unmask.subindex != 0)
    return Fail(EINVAL, fmt::format("flags {:#x}, index {}, subindex {}", unmask.flags,
                                    unmask.index, unmask.subindex));
  device_.irqs().EndOfIntx();
  return 0;
}

Reply DeviceFile::SetUnmaskIrqEventfds(const IoctlCall& call) {
  IrqEventfds set{};
  TRY(CopyIn(call, set));
  if (set.flags != 0 || set.count > 1 || set.index != VFIO_PCI_INTX_IRQ_INDEX)
    return Fail(EINVAL,
                fmt::format("flags {:#x}, index {}, count {}", set.flags, set.index, set.count));
  if (set.argsz - sizeof set < set.count * sizeof(int))
    return Fail(EINVAL, fmt::format("argsz {} is short of an eventfd", set.argsz));
  const int fd =
      set.count == 0 ? -1 : TRY(call.caller.memory().Load<int>(call.pointer() + sizeof set));
  TRY(device_.irqs().SetEndOfIntx(call.caller, fd));
  return 0;
}

Reply DeviceFile::GetSettableIrqInfo(const IoctlCall& call) {
  return device_.settable_irqs().GetInfo(call);
}

Reply DeviceFile::SetIrqs(const IoctlCall& call) { return device_.settable_irqs().Set(call); }

}  // namespace vfiolab::merge
