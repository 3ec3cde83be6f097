// Which capabilities a client sees, and what it may write in each (vfio_pci_config.c
// vfio_cap_init, vfio_ecap_init, init_pci_cap_*_perm).
#include <linux/pci_regs.h>

#include "vfio/capability_length.hpp"
#include "vfio/virtual_config.hpp"

namespace vfiolab::vfio {
namespace {

constexpr u32 kAll = 0xffffffff;
constexpr u32 kPmeBits = PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS;
// What the kernel lets be written; the hardware decides what that changes.
constexpr u32 kUncorrectable = 0x03fff031;
constexpr u32 kCorrectable = 0x0000f1c1;
constexpr u32 kNextMask = 0xffcu << 20;

}  // namespace

// The others drop out of the list.
void VirtualConfig::BuildCapabilities() {
  if (!(Virtual(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST)) return;
  const ConfigSpace& config = slot_.config();
  std::size_t link = PCI_CAPABILITY_LIST;
  std::size_t at = Virtual(PCI_CAPABILITY_LIST, 1) & 0xfc;
  bool any = false;
  for (int hops = 0; at >= PCI_STD_HEADER_SIZEOF && hops < 48; ++hops) {
    if (const std::size_t length = CapabilityLength(config, at)) {
      BuildCapability(static_cast<u8>(config.Get(at, 1)), at, length);
      SetVirtual(link, 1, static_cast<u32>(at));
      link = at + 1;
      any = true;
    }
    at = config.Get(at + 1, 1) & 0xfc;
  }
  SetVirtual(link, 1, 0);
  if (!any) SetVirtual(PCI_STATUS, 2, Virtual(PCI_STATUS, 2) & ~u32{PCI_STATUS_CAP_LIST});
}

void VirtualConfig::BuildCapability(u8 id, std::size_t at, std::size_t length) {
  Owner owner = Owner::kOther;
  if (id == PCI_CAP_ID_MSI) owner = Owner::kMsi;
  if (id == PCI_CAP_ID_MSIX) owner = Owner::kMsix;
  if (id == PCI_CAP_ID_EXP) owner = Owner::kExpress;
  if (id == PCI_CAP_ID_PM) owner = Owner::kPower;
  if (id == PCI_CAP_ID_AF) owner = Owner::kAdvanced;
  Claim(at, length, owner);
  Permit(at + 1, 1, 0xff, 0);
  switch (id) {
    case PCI_CAP_ID_PM:
      return PermitPower(at);
    case PCI_CAP_ID_VPD:
      Permit(at + PCI_VPD_ADDR, 2, 0xffff, 0xffff);
      return Permit(at + PCI_VPD_DATA, 4, kAll, kAll);
    case PCI_CAP_ID_MSI:
      return PermitMsi(at);
    case PCI_CAP_ID_PCIX:
      Permit(at + PCI_X_CMD, 2, 0, 0xffff);
      if (length > PCI_X_ECC_CSR) Permit(at + PCI_X_ECC_CSR, 4, 0, kAll);
      return;
    case PCI_CAP_ID_EXP:
      return PermitExpress(at, length);
    case PCI_CAP_ID_AF:
      return Permit(at + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR, PCI_AF_CTRL_FLR);
    case PCI_CAP_ID_VNDR:
      for (std::size_t i = at + 2; i < at + length; ++i) Permit(i, 1, 0, 0xff);
      return;
    default:
      return;  // all of it read-only
  }
}

// Wake-up events are not the client's: nobody would hand them on.
void VirtualConfig::PermitPower(std::size_t at) {
  Permit(at + PCI_PM_PMC, 2, PCI_PM_CAP_PME_MASK, 0);
  Permit(at + PCI_PM_CTRL, 4, kPmeBits, ~(kPmeBits | u32{PCI_PM_CTRL_STATE_MASK}));
  SetVirtual(at + PCI_PM_PMC, 2, Virtual(at + PCI_PM_PMC, 2) & ~u32{PCI_PM_CAP_PME_MASK});
  SetVirtual(at + PCI_PM_CTRL, 2, Virtual(at + PCI_PM_CTRL, 2) & ~kPmeBits);
}

void VirtualConfig::PermitMsi(std::size_t at) {
  const u32 flags = slot_.config().Get(at + PCI_MSI_FLAGS, 2);
  const bool wide = flags & PCI_MSI_FLAGS_64BIT;
  Permit(at + PCI_MSI_FLAGS, 1, 0xff, 0xff);
  Permit(at + PCI_MSI_ADDRESS_LO, 4, kAll, kAll);
  if (wide) Permit(at + PCI_MSI_ADDRESS_HI, 4, kAll, kAll);
  Permit(at + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2, 0xffff, 0xffff);
  if (!(flags & PCI_MSI_FLAGS_MASKBIT)) return;
  Permit(at + (wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32), 4, 0, kAll);
  Permit(at + (wide ? PCI_MSI_PENDING_64 : PCI_MSI_PENDING_32), 4, 0, kAll);
}

void VirtualConfig::PermitExpress(std::size_t at, std::size_t length) {
  constexpr u32 kVirtual = PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_READRQ;
  Permit(at + PCI_EXP_DEVCTL, 2, kVirtual, 0xffff & ~u32{PCI_EXP_DEVCTL_PHANTOM});
  if (length > PCI_EXP_DEVCTL2 + 1u)
    Permit(at + PCI_EXP_DEVCTL2, 2, 0, 0xffff & ~u32{PCI_EXP_DEVCTL2_ARI});
}

// The list begins at a fixed place, so a hidden capability there stays as an empty one.
void VirtualConfig::BuildExtendedCapabilities() {
  const ConfigSpace& config = slot_.config();
  if (config.size() == kConventionalConfigSize || config.Get(kConventionalConfigSize, 4) == 0)
    return;
  if (config.FindCapability(PCI_CAP_ID_EXP) == 0) return;
  std::size_t link = 0, at = kConventionalConfigSize;
  bool any = false;
  for (int hops = 0; at >= kConventionalConfigSize && hops < 960; ++hops) {
    const u32 header = config.Get(at, 4);
    const std::size_t next = PCI_EXT_CAP_NEXT(header);
    const std::size_t length = ExtendedCapabilityLength(config, at);
    if (length == 0 && link != 0) {
      SetVirtual(link, 4, (Virtual(link, 4) & ~kNextMask) | static_cast<u32>(next) << 20);
      at = next;
      continue;
    }
    Claim(at, length == 0 ? 4 : length, Owner::kOther);
    Permit(at, 4, kAll, 0);
    if (length == 0)
      SetVirtual(at, 4, header & kNextMask);
    else
      PermitExtended(at, length);
    any |= length != 0;
    link = at;
    at = next;
  }
  if (!any) SetVirtual(kConventionalConfigSize, 4, 0);
}

void VirtualConfig::PermitExtended(std::size_t at, std::size_t length) {
  if (at + length > size()) return;
  switch (PCI_EXT_CAP_ID(Virtual(at, 4))) {
    case PCI_EXT_CAP_ID_ERR:
      for (const unsigned field : {PCI_ERR_UNCOR_STATUS, PCI_ERR_UNCOR_MASK, PCI_ERR_UNCOR_SEVER})
        Permit(at + field, 4, 0, kUncorrectable);
      Permit(at + PCI_ERR_COR_STATUS, 4, 0, kCorrectable);
      Permit(at + PCI_ERR_COR_MASK, 4, 0, kCorrectable);
      return Permit(at + PCI_ERR_CAP, 4, 0, PCI_ERR_CAP_ECRC_GENE | PCI_ERR_CAP_ECRC_CHKE);
    case PCI_EXT_CAP_ID_PWR:
      return Permit(at + PCI_PWR_DATA, 1, 0, 0xff);
    case PCI_EXT_CAP_ID_VNDR:
    case PCI_EXT_CAP_ID_DVSEC:
      for (std::size_t i = at + 4; i < at + length; ++i) Permit(i, 1, 0, 0xff);
      return;
    default:
      return;
  }
}

}  // namespace vfiolab::vfio
