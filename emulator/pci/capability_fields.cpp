#include "pci/capability_fields.hpp"

#include <linux/pci_regs.h>

namespace vfiolab {

u32 CapabilityField(const ConfigSpace& config, std::size_t at, unsigned width) {
  return at + width <= config.size() ? config.Get(at, width) : 0;
}

std::size_t MsiCapabilityLength(u32 flags) {
  return 10u + (flags & PCI_MSI_FLAGS_64BIT ? 4u : 0u) + (flags & PCI_MSI_FLAGS_MASKBIT ? 10u : 0u);
}

std::size_t VirtualChannelLength(const ConfigSpace& config, std::size_t at) {
  const u32 more = CapabilityField(config, at + PCI_VC_PORT_CAP1, 4) & PCI_VC_CAP1_EVCC;
  const u32 arbitration = CapabilityField(config, at + PCI_VC_PORT_CAP2, 4);
  const std::size_t phases = arbitration & PCI_VC_CAP2_128_PHASE  ? 128
                             : arbitration & PCI_VC_CAP2_64_PHASE ? 64
                             : arbitration & PCI_VC_CAP2_32_PHASE ? 32
                                                                  : 0;
  const std::size_t length = PCI_CAP_VC_BASE_SIZEOF + (1 + more) * PCI_CAP_VC_PER_VC_SIZEOF;
  return phases == 0 ? length : ((length + 15) & ~std::size_t{15}) + phases * 4 / 8;
}

}  // namespace vfiolab
