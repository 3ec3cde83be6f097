// The device's ioctls of October 2011: fixed structs, and lists that begin with their length.
#include "merge/device.hpp"

namespace vfiolab::merge {

Reply DeviceFile::GetFlags(const IoctlCall& call) {
  const u64 flags =
      october::kDevicePci | (device_.function().was_reset() ? october::kDeviceReset : 0);
  TRY(call.caller.memory().Store(call.pointer(), flags));
  return 0;
}

Reply DeviceFile::GetNumRegions(const IoctlCall& call) {
  TRY(call.caller.memory().Store(call.pointer(), kRegions));
  return 0;
}

Reply DeviceFile::GetNumIrqs(const IoctlCall& call) {
  TRY(call.caller.memory().Store(call.pointer(), kIrqs));
  return 0;
}

Reply DeviceFile::GetRegionInfoOctober(const IoctlCall& call) {
  october::RegionInfo info{};
  const u32 length = TRY(call.caller.memory().Load<u32>(call.pointer()));
  if (length > sizeof info || length < october::kShortestRegionInfo)
    return Fail(EINVAL, fmt::format("{} bytes", length));
  const auto given = BytesOf(info).first(length);
  TRY(call.caller.memory().Read(call.pointer(), given));
  if (info.index >= kRegions) return Fail(EINVAL, fmt::format("no region {}", info.index));
  info.offset = RegionOffset(info.index);
  info.size = regions_.Size(info.index);
  info.flags = RegionFlags(call.caller, info.index);
  TRY(call.caller.memory().Write(call.pointer(), given));
  return 0;
}

template <class Info>
Reply DeviceFile::AnswerIrqInfo(const IoctlCall& call) {
  auto info = TRY(call.caller.memory().Load<Info>(call.pointer()));
  if (info.length != sizeof info) return Fail(EINVAL, fmt::format("{} bytes", info.length));
  if (info.index >= kIrqs) return Fail(EINVAL, fmt::format("no interrupt index {}", info.index));
  info.count = IrqCount(info.index);
  info.flags = IrqFlags(info.index);
  TRY(call.caller.memory().Store(call.pointer(), info));
  return 0;
}

Reply DeviceFile::GetIrqInfoB0(const IoctlCall& call) {
  return AnswerIrqInfo<october::IrqInfoB0>(call);
}

Reply DeviceFile::GetIrqInfoB0Of32Bit(const IoctlCall& call) {
  return AnswerIrqInfo<october::IrqInfoB0Of32Bit>(call);
}

Reply DeviceFile::GetIrqInfoB1(const IoctlCall& call) {
  return AnswerIrqInfo<october::IrqInfo>(call);
}

Reply DeviceFile::SetIrqEventfdsOctober(const IoctlCall& call) {
  struct {
    u32 index;
    int count;
  } head{};
  TRY(call.caller.memory().Read(call.pointer(), BytesOf(head)));
  if (head.index >= kIrqs) return Fail(EINVAL, fmt::format("no interrupt index {}", head.index));
  if (head.count < 0) return Fail(EINVAL, fmt::format("{} eventfds", head.count));
  TRY(device_.irqs().SetEventfds(call.caller, head.index, static_cast<u32>(head.count),
                                 call.pointer() + sizeof head));
  return 0;
}

// There is an argument, at which it does not look.
Reply DeviceFile::UnmaskIrqOctober(const IoctlCall&) {
  device_.irqs().EndOfIntx();
  return 0;
}

Reply DeviceFile::SetUnmaskIrqEventfd(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  TRY(device_.irqs().SetEndOfIntx(call.caller, fd));
  return 0;
}

}  // namespace vfiolab::merge
