#include "early/capability_length.hpp"

#include <linux/pci_regs.h>

#include "pci/capability_fields.hpp"

namespace vfiolab::early {
namespace {

constexpr std::size_t kUnknown = 4;

}  // namespace

std::size_t CapabilityLength(const ConfigSpace& config, std::size_t at) {
  constexpr u32 kHyperTransport3Bits = 0xe0, kSataRegisters = 4, kSataInline = 0xf;
  switch (CapabilityField(config, at, 1)) {
    case PCI_CAP_ID_PM:
    case PCI_CAP_ID_VPD:
      return 8;
    case PCI_CAP_ID_AGP:
    case PCI_CAP_ID_MSIX:
      return 12;
    case PCI_CAP_ID_MSI:
      return MsiCapabilityLength(CapabilityField(config, at + PCI_MSI_FLAGS, 2));
    case PCI_CAP_ID_PCIX:
      return (CapabilityField(config, at + PCI_X_CMD, 2) >> 12 & 3) != 0 ? 24 : 8;
    case PCI_CAP_ID_EXP:
      return (CapabilityField(config, at + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_VERS) == 1 ? 20 : 44;
    case PCI_CAP_ID_HT:
      return CapabilityField(config, at + 3, 1) & kHyperTransport3Bits ? 24 : 28;
    case PCI_CAP_ID_SATA:
      return (CapabilityField(config, at + kSataRegisters, 1) & kSataInline) == kSataInline ? 16
                                                                                            : 8;
    case PCI_CAP_ID_VNDR:
      return CapabilityField(config, at + PCI_CAP_FLAGS, 1);
    case PCI_CAP_ID_AF:
      return 6;
    default:
      return kUnknown;
  }
}

std::size_t ExtendedCapabilityLength(const ConfigSpace& config, std::size_t at) {
  switch (PCI_EXT_CAP_ID(CapabilityField(config, at, 4))) {
    case PCI_EXT_CAP_ID_ERR:
      return 44;
    case PCI_EXT_CAP_ID_VC:
    case PCI_EXT_CAP_ID_VC9:
      return VirtualChannelLength(config, at);
    case PCI_EXT_CAP_ID_DSN:
      return 12;
    case PCI_EXT_CAP_ID_PWR:
    case PCI_EXT_CAP_ID_PRI:
      return 16;
    case PCI_EXT_CAP_ID_ARI:
    case PCI_EXT_CAP_ID_ATS:
    case PCI_EXT_CAP_ID_LTR:
      return 8;
    case PCI_EXT_CAP_ID_SRIOV:
      return 64;
    case PCI_EXT_CAP_ID_MCAST:
      return 40;
    default:
      return kUnknown;
  }
}

}  // namespace vfiolab::early
