#include "device/pci_device.hpp"

#include "device/msix_table.hpp"

namespace vfiolab {

void MemoryBar::Read(Offset offset, std::span<std::byte> out) {
  std::memcpy(out.data(), bytes_.data() + offset, out.size());
}

void MemoryBar::Write(Offset offset, std::span<const std::byte> in) {
  std::memcpy(bytes_.data() + offset, in.data(), in.size());
}

PciDevice::PciDevice(DeviceHost& host, PciIdentity identity) : host_(host), identity_(identity) {
  const unsigned vectors = identity.msix_vectors;
  if (vectors == 0) return;
  AddHandler(identity.msix_bar, BarSpec{.size = MsixTable::BarSize(vectors)},
             std::make_unique<MsixTable>(vectors));
}

void PciDevice::Reset() {
  for (auto& bar : bars_)
    if (bar) bar->handler->Reset();
  OnReset();
}

MemoryBar& PciDevice::AddMemoryBar(unsigned index, BarSpec spec) {
  spec.mapping = BarMapping::kMemory;
  return AddHandler(index, spec,
                    std::make_unique<MemoryBar>(host_.AllocateBarMemory(index, spec.size)));
}

}  // namespace vfiolab
