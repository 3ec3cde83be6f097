// VFIO_DEVICE_IOEVENTFD: a write to a BAR that an eventfd sets off (vfio_pci_rdwr.c).
#include <linux/pci_regs.h>

#include "vfio/device.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::IoctlCall;

namespace {

constexpr std::size_t kMostIoeventfds = 1000;  // VFIO_PCI_IOEVENTFD_MAX

}  // namespace

Result<> Device::AddIoeventfd(const BarWrite& write, Eventfd eventfd) {
  auto& entry = ioeventfds_.emplace(write, Ioeventfd{std::move(eventfd), nullptr}).first->second;
  entry.watch = slot_.machine().environment().WatchEventfd(entry.eventfd, [this, write] {
    if (!Decodes(write.bar)) return;
    const auto bytes = BytesOf(write.data).first(write.width);
    if (write.at % write.width == 0) return slot_.WriteBar(write.bar, write.at, bytes);
    // A bus takes an unaligned write apart.
    for (unsigned i = 0; i < write.width; ++i)
      slot_.WriteBar(write.bar, write.at + i, bytes.subspan(i, 1));
  });
  if (entry.watch != nullptr) return {};
  ioeventfds_.erase(write);
  return Fail(ENOMEM, "no descriptor is left to watch the eventfd with");
}

Reply DeviceFile::SetIoeventfd(const IoctlCall& call) {
  vfio_device_ioeventfd request{};
  TRY(CopyIn(call, request, VFIOLAB_END_OF(vfio_device_ioeventfd, fd)));
  const u32 width = request.flags & VFIO_DEVICE_IOEVENTFD_SIZE_MASK;
  if (request.flags != width || !std::has_single_bit(width) || request.fd < -1)
    return Fail(EINVAL, fmt::format("flags {:#x}, descriptor {}", request.flags, request.fd));
  const u64 region = request.offset >> kRegionShift;
  const Device::BarWrite write{static_cast<unsigned>(region), request.offset & kRegionOffsetMask,
                               request.data, width};
  if (region > VFIO_PCI_BAR5_REGION_INDEX)
    return Fail(EINVAL, fmt::format("region {} is no BAR", region));
  const RegionFacts facts = BarFacts(write.bar, nullptr);
  if (write.at + width > facts.size)
    return Fail(EINVAL, fmt::format("{:#x} + {} in a BAR of {:#x}", write.at, width, facts.size));
  if (facts.hidden.Meets(write.at, width))
    return Fail(EINVAL, "the MSI-X table is not the client's to write");
  if (device_.HasIoeventfd(write)) {
    if (request.fd != -1) return Fail(EEXIST, "this write already has an eventfd");
    device_.RemoveIoeventfd(write);
    return 0;
  }
  if (request.fd < 0) return Fail(ENODEV, "no such write to remove");
  if (device_.ioeventfd_count() >= kMostIoeventfds)
    return Fail(ENOSPC, fmt::format("{} are in use", kMostIoeventfds));
  Eventfd eventfd = TRY(call.caller.ImportEventfd(request.fd));
  TRY(device_.AddIoeventfd(write, std::move(eventfd)));
  return 0;
}

}  // namespace vfiolab::vfio
