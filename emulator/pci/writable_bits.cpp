#include "pci/writable_bits.hpp"

#include <linux/pci_regs.h>

namespace vfiolab {
namespace {

struct Field {
  u16 capability;
  u16 offset;
  u8 width;
  u32 bits;
};

// Fields whose writable bits are the same in every device.
constexpr Field kConventional[] = {
    {PCI_CAP_ID_VPD, PCI_VPD_ADDR, 2, 0xffff},
    {PCI_CAP_ID_VPD, PCI_VPD_DATA, 4, 0xffffffff},
    {PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL},
};
constexpr u32 kUncorrectable = 0x07fff030, kCorrectable = 0x0000f1c1;
constexpr Field kExtended[] = {
    {PCI_EXT_CAP_ID_ERR, PCI_ERR_UNCOR_MASK, 4, kUncorrectable},
    {PCI_EXT_CAP_ID_ERR, PCI_ERR_UNCOR_SEVER, 4, kUncorrectable},
    {PCI_EXT_CAP_ID_ERR, PCI_ERR_COR_MASK, 4, kCorrectable},
    {PCI_EXT_CAP_ID_PWR, PCI_PWR_DSR, 1, 0xff},
    {PCI_EXT_CAP_ID_ATS, PCI_ATS_CTRL, 2, PCI_ATS_CTRL_ENABLE | 0x1f},
    {PCI_EXT_CAP_ID_PRI, PCI_PRI_CTRL, 2, PCI_PRI_CTRL_ENABLE | PCI_PRI_CTRL_RESET},
    {PCI_EXT_CAP_ID_PRI, PCI_PRI_ALLOC_REQ, 4, 0xffffffff},
    {PCI_EXT_CAP_ID_LTR, PCI_LTR_MAX_SNOOP_LAT, 2, 0x1fff},
    {PCI_EXT_CAP_ID_LTR, PCI_LTR_MAX_NOSNOOP_LAT, 2, 0x1fff},
    {PCI_EXT_CAP_ID_TPH, 8, 4, 0x00000307},
    {PCI_EXT_CAP_ID_SECPCI, 4, 4, 0x00000003},
    {PCI_EXT_CAP_ID_L1SS, PCI_L1SS_CTL1, 4, 0xe3ffff0f},
    {PCI_EXT_CAP_ID_L1SS, PCI_L1SS_CTL2, 4, 0x000000fb},
};

// The capability ends where its config space does: a list may be broken.
void Permit(ConfigSpace& config, std::size_t at, unsigned width, u32 bits) {
  if (at + width <= config.size()) config.MakeWritable(at, width, bits);
}

u32 Field32(const ConfigSpace& config, std::size_t at) {
  return at + 4 <= config.size() ? config.Get(at, 4) : 0;
}

void PermitPowerManagement(ConfigSpace& config, std::size_t at) {
  const u32 capabilities = Field32(config, at) >> 16, control = Field32(config, at + PCI_PM_CTRL);
  u32 bits = PCI_PM_CTRL_STATE_MASK;
  if (capabilities & PCI_PM_CAP_PME_MASK) bits |= PCI_PM_CTRL_PME_ENABLE;
  // A data register that says nothing, in no scale, is not there.
  const u32 data = control >> 24, scale = control & PCI_PM_CTRL_DATA_SCALE_MASK;
  if (data != 0 || scale != 0) bits |= PCI_PM_CTRL_DATA_SEL_MASK;
  Permit(config, at + PCI_PM_CTRL, 2, bits);
}

void PermitMsi(ConfigSpace& config, std::size_t at) {
  const u32 flags = Field32(config, at) >> 16;
  const bool wide = flags & PCI_MSI_FLAGS_64BIT;
  Permit(config, at + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
  Permit(config, at + PCI_MSI_ADDRESS_LO, 4, 0xfffffffc);
  if (wide) Permit(config, at + PCI_MSI_ADDRESS_HI, 4, 0xffffffff);
  Permit(config, at + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2, 0xffff);
  if (!(flags & PCI_MSI_FLAGS_MASKBIT)) return;
  const unsigned vectors = 1u << ((flags & PCI_MSI_FLAGS_QMASK) >> 1);
  Permit(config, at + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32), 4,
         vectors >= 32 ? 0xffffffff : (1u << vectors) - 1);
}

void PermitExpress(ConfigSpace& config, std::size_t at) {
  const u32 flags = Field32(config, at) >> 16;
  const u32 type = (flags & PCI_EXP_FLAGS_TYPE) >> 4;
  const u32 device = Field32(config, at + PCI_EXP_DEVCAP);
  u32 bits = 0x7fff & ~u32{PCI_EXP_DEVCTL_EXT_TAG} & ~u32{PCI_EXP_DEVCTL_PHANTOM};
  if (device & PCI_EXP_DEVCAP_EXT_TAG) bits |= PCI_EXP_DEVCTL_EXT_TAG;
  if (device & PCI_EXP_DEVCAP_PHANTOM) bits |= PCI_EXP_DEVCTL_PHANTOM;
  Permit(config, at + PCI_EXP_DEVCTL, 2, bits);
  // What is integrated into the root complex has no link.
  const bool link = type != PCI_EXP_TYPE_RC_END && type != PCI_EXP_TYPE_RC_EC;
  if (link) {
    const bool clock = Field32(config, at + PCI_EXP_LNKCAP) & PCI_EXP_LNKCAP_CLKPM;
    Permit(config, at + PCI_EXP_LNKCTL, 2,
           PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_RCB | PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES |
               PCI_EXP_LNKCTL_HAWD | (clock ? PCI_EXP_LNKCTL_CLKREQ_EN : 0u));
  }
  if ((flags & PCI_EXP_FLAGS_VERS) < 2) return;
  const u32 device2 = Field32(config, at + PCI_EXP_DEVCAP2);
  bits = PCI_EXP_DEVCTL2_IDO_REQ_EN | PCI_EXP_DEVCTL2_IDO_CMP_EN | PCI_EXP_DEVCTL2_ATOMIC_REQ;
  if (device2 & 0xf) bits |= PCI_EXP_DEVCTL2_COMP_TIMEOUT;
  if (device2 & PCI_EXP_DEVCAP2_COMP_TMOUT_DIS) bits |= PCI_EXP_DEVCTL2_COMP_TMOUT_DIS;
  if (device2 & PCI_EXP_DEVCAP2_LTR) bits |= PCI_EXP_DEVCTL2_LTR_EN;
  if (device2 & PCI_EXP_DEVCAP2_OBFF_MASK) bits |= 0x6000;
  Permit(config, at + PCI_EXP_DEVCTL2, 2, bits);
  if (link) Permit(config, at + PCI_EXP_LNKCTL2, 2, 0xffbf);  // all but what ports alone have
}

void PermitConventional(ConfigSpace& config, u8 id, std::size_t at) {
  for (const Field& field : kConventional)
    if (field.capability == id) Permit(config, at + field.offset, field.width, field.bits);
  if (id == PCI_CAP_ID_PM) PermitPowerManagement(config, at);
  if (id == PCI_CAP_ID_MSI) PermitMsi(config, at);
  if (id == PCI_CAP_ID_EXP) PermitExpress(config, at);
}

void PermitExtended(ConfigSpace& config, u16 id, std::size_t at) {
  for (const Field& field : kExtended)
    if (field.capability == id) Permit(config, at + field.offset, field.width, field.bits);
  if (id == PCI_EXT_CAP_ID_ERR) {
    const u32 checks = Field32(config, at + PCI_ERR_CAP);
    Permit(config, at + PCI_ERR_CAP, 4,
           (checks & PCI_ERR_CAP_ECRC_GENC ? PCI_ERR_CAP_ECRC_GENE : 0u) |
               (checks & PCI_ERR_CAP_ECRC_CHKC ? PCI_ERR_CAP_ECRC_CHKE : 0u));
  }
  // Each control bit is there when its capability bit is.
  if (id == PCI_EXT_CAP_ID_ACS)
    Permit(config, at + PCI_ACS_CTRL, 2, Field32(config, at + PCI_ACS_CAP) & 0x7f);
  if (id == PCI_EXT_CAP_ID_PASID)
    Permit(config, at + PCI_PASID_CTRL, 2, 1 | (Field32(config, at + PCI_PASID_CAP) & 0x6));
}

}  // namespace

void PermitCapabilities(ConfigSpace& config) {
  if (config.Get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) {
    std::size_t at = config.Get(PCI_CAPABILITY_LIST, 1) & 0xfc;
    for (int hops = 0; at >= PCI_STD_HEADER_SIZEOF && hops < 48; ++hops) {
      PermitConventional(config, static_cast<u8>(config.Get(at, 1)), at);
      at = config.Get(at + 1, 1) & 0xfc;
    }
  }
  // A list that loops ends after as many hops as there is room for.
  std::size_t at = kConventionalConfigSize;
  for (int hops = 0; at >= kConventionalConfigSize && at < config.size() && hops < 960; ++hops) {
    const u32 header = config.Get(at, 4);
    PermitExtended(config, static_cast<u16>(PCI_EXT_CAP_ID(header)), at);
    at = PCI_EXT_CAP_NEXT(header);
  }
}

}  // namespace vfiolab
