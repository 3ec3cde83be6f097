#include "pci/express_capability.hpp"

namespace vfiolab {

void AddExpress(ConfigSpace& config, u16 type) {
  const u8 at = config.AddCapability(PCI_CAP_ID_EXP, 60);
  const bool has_slot = type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM;
  const bool is_endpoint = type == PCI_EXP_TYPE_ENDPOINT || type == PCI_EXP_TYPE_RC_END;
  config.Set(at + PCI_EXP_FLAGS, 2, 2u | u32{type} << 4 | (has_slot ? PCI_EXP_FLAGS_SLOT : 0));
  config.Set(at + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_RBER | (is_endpoint ? PCI_EXP_DEVCAP_FLR : 0));
  config.MakeWritable(at + PCI_EXP_DEVCTL, 2, 0x7fff);
  // 2.5 GT/s, one lane, as an emulated link has no better truth.
  config.Set(at + PCI_EXP_LNKCAP, 4, PCI_EXP_LNKCAP_SLS_2_5GB | 1 << 4);
  config.Set(at + PCI_EXP_LNKSTA, 2, PCI_EXP_LNKSTA_CLS_2_5GB | 1 << 4);
  config.Set(at + PCI_EXP_LNKCTL2, 2, PCI_EXP_LNKCTL2_TLS_2_5GT);
}

void AddAcs(ConfigSpace& config, AcsBits acs) {
  const u16 at = config.AddExtendedCapability(PCI_EXT_CAP_ID_ACS, 1, 8);
  config.Set(at + PCI_ACS_CAP, 2, acs);
  config.Set(at + PCI_ACS_CTRL, 2, acs & kIsolatingAcs);
  config.MakeWritable(at + PCI_ACS_CTRL, 2, acs);
}

std::optional<u16> ExpressType(const ConfigSpace& config) {
  const u8 at = config.FindCapability(PCI_CAP_ID_EXP);
  if (at == 0) return std::nullopt;
  return (config.Get(at + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE) >> 4;
}

}  // namespace vfiolab
