#include "device/pci_device.hpp"

#include <linux/pci_regs.h>

#include "device/msix_table.hpp"

namespace vfiolab {
namespace {

PciIdentity IdentityOf(const ConfigImage& image) {
  const ConfigImage::Msix msix = image.FindMsix().value_or(ConfigImage::Msix{});
  return {.vendor_id = static_cast<u16>(image.Get(PCI_VENDOR_ID, 2)),
          .device_id = static_cast<u16>(image.Get(PCI_DEVICE_ID, 2)),
          .subsystem_vendor_id = static_cast<u16>(image.Get(PCI_SUBSYSTEM_VENDOR_ID, 2)),
          .subsystem_id = static_cast<u16>(image.Get(PCI_SUBSYSTEM_ID, 2)),
          .revision = static_cast<u8>(image.Get(PCI_REVISION_ID, 1)),
          .class_code = image.Get(PCI_CLASS_REVISION, 4) >> 8,
          .interrupt_pin = static_cast<u8>(image.Get(PCI_INTERRUPT_PIN, 1)),
          .msi_vectors = image.MsiVectors(),
          .msix_vectors = msix.vectors,
          .msix_bar = msix.table_bar,
          .msix_table_offset = msix.table_offset,
          .express = image.FindCapability(PCI_CAP_ID_EXP) != 0};
}

}  // namespace

PciDevice::PciDevice(DeviceHost& host, PciIdentity identity) : host_(host), identity_(identity) {
  const unsigned vectors = identity.msix_vectors;
  if (vectors == 0) return;
  AddHandler(identity.msix_bar, BarSpec{.size = MsixTable::BarSize(vectors)},
             std::make_unique<MsixTable>(vectors));
}

PciDevice::PciDevice(DeviceHost& host, ConfigImage image)
    : host_(host), identity_(IdentityOf(image)), image_(std::move(image)) {}

void PciDevice::Reset() {
  for (auto& bar : bars_)
    if (bar) bar->handler->Reset();
  if (vga_) vga_->Reset();
  OnReset();
}

MemoryBar& PciDevice::AddMemoryBar(unsigned index, BarSpec spec) {
  spec.mapping = BarMapping::kMemory;
  return AddHandler(index, spec,
                    std::make_unique<MemoryBar>(host_.AllocateRegionMemory(index, spec.size)));
}

PolledBar& PciDevice::AddPolledBar(unsigned index, BarSpec spec, PolledBar::Stored stored) {
  spec.mapping = BarMapping::kPoll;
  return AddHandler(
      index, spec,
      std::make_unique<PolledBar>(host_.AllocateRegionMemory(index, spec.size), std::move(stored)));
}

}  // namespace vfiolab
