#include "pci/function_reset.hpp"

#include <linux/pci_regs.h>

namespace vfiolab {

std::string FunctionResets(const ConfigSpace& config) {
  std::string methods;
  const auto add = [&](const char* name) {
    methods += (methods.empty() ? "" : " ") + std::string(name);
  };
  if (const u8 at = config.FindCapability(PCI_CAP_ID_EXP))
    if (config.Get(at + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR) add("flr");
  if (const u8 at = config.FindCapability(PCI_CAP_ID_AF)) {
    constexpr u32 kBoth = PCI_AF_CAP_TP | PCI_AF_CAP_FLR;
    if ((config.Get(at + PCI_AF_CAP, 1) & kBoth) == kBoth) add("af_flr");
  }
  // Without No_Soft_Reset, going to D3hot and back resets.
  if (const u8 at = config.FindCapability(PCI_CAP_ID_PM))
    if (!(config.Get(at + PCI_PM_CTRL, 2) & PCI_PM_CTRL_NO_SOFT_RESET)) add("pm");
  return methods;
}

}  // namespace vfiolab
