#include "pci/saved_state.hpp"

#include <linux/pci_regs.h>

namespace vfiolab {
namespace {

struct Field {
  u16 capability;
  u16 offset;
  u8 width;
};

constexpr Field kConventional[] = {
    {PCI_CAP_ID_PM, PCI_PM_CTRL, 2},         {PCI_CAP_ID_EXP, PCI_EXP_DEVCTL, 2},
    {PCI_CAP_ID_EXP, PCI_EXP_LNKCTL, 2},     {PCI_CAP_ID_EXP, PCI_EXP_DEVCTL2, 2},
    {PCI_CAP_ID_EXP, PCI_EXP_LNKCTL2, 2},    {PCI_CAP_ID_MSI, PCI_MSI_FLAGS, 2},
    {PCI_CAP_ID_MSI, PCI_MSI_ADDRESS_LO, 8}, {PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, 2},
    {PCI_CAP_ID_PCIX, PCI_X_CMD, 2},
};
constexpr Field kExtended[] = {
    {PCI_EXT_CAP_ID_ERR, PCI_ERR_UNCOR_MASK, 8},  // and its severity
    {PCI_EXT_CAP_ID_ERR, PCI_ERR_COR_MASK, 8},    // and what is checked
    {PCI_EXT_CAP_ID_LTR, PCI_LTR_MAX_SNOOP_LAT, 4},
};

}  // namespace

void RestoreState(ConfigSpace& config, const ConfigSpace& saved) {
  config.CopyFrom(saved, 0, PCI_STD_HEADER_SIZEOF);
  const auto restore = [&](std::size_t capability, const Field& field) {
    const std::size_t at = capability + field.offset;
    if (capability != 0 && at + field.width <= config.size())
      config.CopyFrom(saved, at, field.width);
  };
  for (const Field& field : kConventional)
    restore(config.FindCapability(static_cast<u8>(field.capability)), field);
  for (const Field& field : kExtended)
    restore(config.FindExtendedCapability(field.capability), field);
}

}  // namespace vfiolab
