#include "merge/device.hpp"

namespace vfiolab::merge {
namespace {

std::unique_ptr<early::Interrupts> MakeInterrupts(const Revision& revision, DeviceSlot& slot,
                                                  std::function<bool()> intx_disabled) {
  if (revision.calls == Calls::kJanuary)
    return std::make_unique<SettableIrqs>(slot, std::move(intx_disabled));
  return std::make_unique<early::Irqs>(slot, std::move(intx_disabled));
}

}  // namespace

Device::Device(DeviceSlot& slot, const Revision& revision)
    : function_(slot, true, [&revision](DeviceSlot& of, std::function<bool()> disabled) {
        return MakeInterrupts(revision, of, std::move(disabled));
      }) {}

void Device::FinishGivingBack() {
  if (!given_back_) return;
  const auto done = std::move(given_back_);
  done();  // destroys this
}

DeviceFile::DeviceFile(Device& device, Group& group)
    : device_(device),
      group_(group),
      set_(group.set()),
      regions_(device.slot(), {},
               [&device]() -> early::Config& { return device.function().config(); }) {
  device_.function().Open();
  ++group_.open_devices;
  set_->AddFile();
}

DeviceFile::~DeviceFile() {
  device_.function().Close();
  --group_.open_devices;
  set_->RemoveFile();
}

Result<u64> DeviceFile::Mmap(CallContext& caller, const MmapRequest& request) {
  const u64 begins = TRY(regions_.Mmap(caller, request));
  const PciIdentity& identity = device_.slot().device().identity();
  const auto [region, at] = regions_.PlaceOf(request.offset);
  const u64 table = identity.msix_table_offset;
  if (set_->revision().protects_msix_table && identity.msix_vectors > 0 &&
      region == identity.msix_bar &&
      at < table + u64{identity.msix_vectors} * PCI_MSIX_ENTRY_SIZE && at + request.length > table)
    return Fail(EINVAL, "the MSI-X table cannot be mapped");
  mapped_ = true;
  return begins;
}

u32 DeviceFile::RegionFlags(CallContext& caller, u32 index) const {
  if (index == early::Regions::kRom) return kRegionReadOnly;
  return index < early::Regions::kRom && regions_.CanMap(caller, index) ? kRegionMmap : 0;
}

u32 DeviceFile::IrqCount(u32 index) const {
  const u32 count = device_.irqs().Count(index);
  if (index != VFIO_PCI_MSI_IRQ_INDEX || count == 0 || !set_->revision().miscounts_msi)
    return count;
  return 1u << (std::bit_width(count - 1) << 1);
}

u32 DeviceFile::IrqFlags(u32 index) const {
  return index == VFIO_PCI_INTX_IRQ_INDEX && IrqCount(index) > 0 ? kIrqLevel : 0;
}

Reply DeviceFile::Reset(const IoctlCall&) {
  if (!device_.function().was_reset()) return Fail(EINVAL, "the function cannot be reset");
  device_.slot().ResetFunction();
  return 0;
}

}  // namespace vfiolab::merge
