// The PCI Express and access control capabilities that software tells kinds of functions by.
#pragma once
#include <linux/pci_regs.h>

#include <optional>

#include "pci/config_space.hpp"

namespace vfiolab {

// What it may send past the ports above it (PCI Express, Access Control Services), by the bits of
// PCI_ACS_*.
using AcsBits = u16;

// What Linux asks of a port, or of one of several functions, that it takes for isolated
// (drivers/iommu/iommu.c), and switches on where there is an IOMMU (drivers/pci/pci.c).
inline constexpr AcsBits kIsolatingAcs = PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF;
// What a port has as a rule.
inline constexpr AcsBits kUsualAcs = kIsolatingAcs | PCI_ACS_TB;

// Adds the capability of a function of this type (PCI_EXP_TYPE_*).
void AddExpress(ConfigSpace& config, u16 type);

// Adds what it can do of access control, of which Linux has switched on what isolates.
void AddAcs(ConfigSpace& config, AcsBits acs);

// PCI_EXP_TYPE_*; nothing for a function of conventional PCI.
std::optional<u16> ExpressType(const ConfigSpace& config);

}  // namespace vfiolab
