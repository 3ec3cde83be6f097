// Reset of a whole bus: what it reaches, and who may ask for it (vfio_pci_core.c).
#include <algorithm>

#include "vfio/device.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

namespace {

// Each bridge before what is behind it (drivers/pci/bus.c pci_walk_bus).
void Walk(Machine& machine, u16 segment, u8 bus, std::vector<BusFunction>& functions) {
  for (const BusFunction& function : machine.FunctionsOn(segment, bus)) {
    functions.push_back(function);
    if (function.bridge != nullptr)
      Walk(machine, segment, function.bridge->secondary_bus, functions);
  }
}

}  // namespace

std::vector<BusFunction> Device::BusResetFunctions() const {
  const Bdf bdf = slot_.bdf();
  std::vector<BusFunction> functions;
  if (slot_.machine().BridgeTo(bdf.segment, bdf.bus) != nullptr)
    Walk(slot_.machine(), bdf.segment, bdf.bus, functions);
  return functions;
}

Reply DeviceFile::GetHotResetInfo(const IoctlCall& call) {
  constexpr std::size_t kHeader = sizeof(vfio_pci_hot_reset_info);
  vfio_pci_hot_reset_info info{};
  TRY(CopyIn(call, info, kHeader));
  std::vector<vfio_pci_dependent_device> affected;
  bool grouped = true;
  for (const BusFunction& function : device_.BusResetFunctions()) {
    const Bdf bdf = function.bdf();
    grouped &= function.group() != nullptr;
    affected.push_back({.group_id = function.group() == nullptr ? 0 : function.group()->id(),
                        .segment = bdf.segment,
                        .bus = bdf.bus,
                        .devfn = bdf.Devfn()});
  }
  if (affected.empty()) return Fail(ENODEV, "no bridge above the device could reset its bus");
  info.flags = 0;
  info.count = static_cast<u32>(affected.size());
  const std::size_t room = (info.argsz - kHeader) / sizeof(vfio_pci_dependent_device);
  const bool fits = affected.size() <= room;
  if (fits && !grouped) return Fail(EPERM, "the IOMMU does not know all that would be reset");
  if (fits)
    TRY(call.caller.memory().Write(call.pointer() + kHeader, std::as_bytes(std::span{affected})));
  TRY(CopyOut(call, info, kHeader));
  if (!fits) return Fail(ENOSPC, fmt::format("room for {} of {} devices", room, affected.size()));
  return 0;
}

Reply DeviceFile::HotReset(const IoctlCall& call) {
  constexpr std::size_t kHeader = sizeof(vfio_pci_hot_reset);
  vfio_pci_hot_reset reset{};
  TRY(CopyIn(call, reset, kHeader));
  if (reset.flags != 0 || reset.count == 0)
    return Fail(EINVAL, fmt::format("flags {:#x}, {} groups", reset.flags, reset.count));
  const auto affected = device_.BusResetFunctions();
  if (affected.empty()) return Fail(ENODEV, "no bridge above the device could reset its bus");
  if (reset.count > affected.size())
    return Fail(EINVAL, fmt::format("{} groups for {} devices", reset.count, affected.size()));
  std::vector<int> descriptors(reset.count);
  TRY(call.caller.memory().Read(call.pointer() + kHeader,
                                std::as_writable_bytes(std::span{descriptors})));
  std::vector<const IommuGroup*> owned;
  for (const int fd : descriptors) {
    const auto file = TRY(call.caller.ImportOpenFile(fd));
    const auto group = std::dynamic_pointer_cast<GroupFile>(file);
    if (!group) return Fail(EINVAL, fmt::format("descriptor {} is no group", fd));
    owned.push_back(&group->group().iommu_group());
  }
  for (const BusFunction& function : affected) {
    DeviceSlot* slot = function.slot;
    // The kernel does not count virtual functions among the devices that a bus reset may reach, nor
    // what is behind another bridge.
    if (slot == nullptr || slot->driver() != kVfioPci || slot->physical_function() != nullptr ||
        std::ranges::count(owned, &slot->group()) == 0)
      return Fail(EINVAL, function.bdf().ToString() + " is not the caller's to reset");
  }
  if (device_.wanted_back()) return Fail(EAGAIN, "the kernel is taking the device back");
  for (const BusFunction& function : affected) function.slot->ResetFunction();
  if (!device_.slot().BusReturns()) return Fail(ENOTTY, "the link is not up after the reset");
  return 0;
}

}  // namespace vfiolab::vfio
