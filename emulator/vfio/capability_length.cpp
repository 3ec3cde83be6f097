#include "vfio/capability_length.hpp"

#include <linux/pci_regs.h>

#include "pci/capability_fields.hpp"

namespace vfiolab::vfio {
namespace {

std::size_t ExpressLength(u32 flags) {
  const bool integrated = (flags & PCI_EXP_FLAGS_TYPE) >> 4 == PCI_EXP_TYPE_RC_END;
  if ((flags & PCI_EXP_FLAGS_VERS) == 1) return integrated ? 0x0c : PCI_CAP_EXP_ENDPOINT_SIZEOF_V1;
  return integrated ? 0x2c : 60;
}

std::size_t AcsLength(const ConfigSpace& config, std::size_t at) {
  if (!(CapabilityField(config, at + PCI_ACS_CAP, 1) & PCI_ACS_EC)) return 8;
  const std::size_t bits = CapabilityField(config, at + PCI_ACS_EGRESS_BITS, 1);
  return 8 + (bits == 0 ? 256 : (bits + 31) & ~std::size_t{31}) / 8;
}

std::size_t TphLength(u32 capabilities) {
  if ((capabilities & PCI_TPH_CAP_LOC_MASK) != PCI_TPH_LOC_CAP) return PCI_TPH_BASE_SIZEOF;
  const u32 entries = (capabilities & PCI_TPH_CAP_ST_MASK) >> PCI_TPH_CAP_ST_SHIFT;
  return PCI_TPH_BASE_SIZEOF + entries * 2 + 2;
}

}  // namespace

std::size_t CapabilityLength(const ConfigSpace& config, std::size_t at) {
  const u32 flags = CapabilityField(config, at + 2, 2);
  switch (CapabilityField(config, at, 1)) {
    case PCI_CAP_ID_PM:
      return PCI_PM_SIZEOF;
    case PCI_CAP_ID_AGP:
      return PCI_AGP_SIZEOF;
    case PCI_CAP_ID_VPD:
      return PCI_CAP_VPD_SIZEOF;
    case PCI_CAP_ID_MSI:
      return MsiCapabilityLength(flags);
    case PCI_CAP_ID_PCIX:
      return PCI_X_CMD_VERSION(flags) ? PCI_CAP_PCIX_SIZEOF_V2 : PCI_CAP_PCIX_SIZEOF_V0;
    case PCI_CAP_ID_HT:
      return flags >> 8 & HT_3BIT_CAP_MASK ? HT_CAP_SIZEOF_SHORT : HT_CAP_SIZEOF_LONG;
    case PCI_CAP_ID_VNDR:
      return flags & 0xff;
    case PCI_CAP_ID_EXP:
      return ExpressLength(flags);
    case PCI_CAP_ID_MSIX:
      return PCI_CAP_MSIX_SIZEOF;
    case PCI_CAP_ID_SATA:
      return (CapabilityField(config, at + PCI_SATA_REGS, 1) & PCI_SATA_REGS_MASK) ==
                     PCI_SATA_REGS_INLINE
                 ? PCI_SATA_SIZEOF_LONG
                 : PCI_SATA_SIZEOF_SHORT;
    case PCI_CAP_ID_AF:
      return PCI_CAP_AF_SIZEOF;
    default:
      return 0;
  }
}

std::size_t ExtendedCapabilityLength(const ConfigSpace& config, std::size_t at) {
  const u32 first = CapabilityField(config, at + 4, 4);
  switch (PCI_EXT_CAP_ID(CapabilityField(config, at, 4))) {
    case PCI_EXT_CAP_ID_ERR:
      return PCI_ERR_ROOT_COMMAND;
    case PCI_EXT_CAP_ID_VC:
    case PCI_EXT_CAP_ID_VC9:
    case PCI_EXT_CAP_ID_MFVC:
      return VirtualChannelLength(config, at);
    case PCI_EXT_CAP_ID_DSN:
      return PCI_EXT_CAP_DSN_SIZEOF;
    case PCI_EXT_CAP_ID_PWR:
      return PCI_EXT_CAP_PWR_SIZEOF;
    case PCI_EXT_CAP_ID_VNDR:
    case PCI_EXT_CAP_ID_DVSEC:
      return first >> 20;
    case PCI_EXT_CAP_ID_ACS:
      return AcsLength(config, at);
    case PCI_EXT_CAP_ID_ARI:
      return PCI_EXT_CAP_ARI_SIZEOF;
    case PCI_EXT_CAP_ID_ATS:
      return PCI_EXT_CAP_ATS_SIZEOF;
    case PCI_EXT_CAP_ID_SRIOV:
      return PCI_EXT_CAP_SRIOV_SIZEOF;
    case PCI_EXT_CAP_ID_MCAST:
      return PCI_EXT_CAP_MCAST_ENDPOINT_SIZEOF;
    case PCI_EXT_CAP_ID_PRI:
      return PCI_EXT_CAP_PRI_SIZEOF;
    case PCI_EXT_CAP_ID_REBAR:
      return 4 +
             (CapabilityField(config, at + PCI_REBAR_CTRL, 1) & PCI_REBAR_CTRL_NBAR_MASK) / 32 * 8;
    case PCI_EXT_CAP_ID_DPA:
      return PCI_DPA_BASE_SIZEOF + (first & PCI_DPA_CAP_SUBSTATE_MASK) + 1;
    case PCI_EXT_CAP_ID_TPH:
      return TphLength(first);
    case PCI_EXT_CAP_ID_LTR:
      return PCI_EXT_CAP_LTR_SIZEOF;
    default:
      return 0;
  }
}

}  // namespace vfiolab::vfio
