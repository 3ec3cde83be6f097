// What Linux knows of particular functions that their config space does not say
// (drivers/pci/quirks.c).
#pragma once
#include <bitset>
#include <optional>

#include "pci/bdf.hpp"
#include "pci/config_space.hpp"

namespace vfiolab {

struct FunctionIds {
  u16 vendor, device, subsystem_vendor, subsystem_device;
};

// Whether it keeps others from reaching through it or past it as kIsolatingAcs does; nothing: only
// its capability says so. `config` is its own.
std::optional<bool> IsolatesByQuirk(const FunctionIds& ids, const ConfigSpace& config);

// The functions on its bus whose requester id its DMA may have, too, by PCI_DEVFN.
using Devfns = std::bitset<256>;
Devfns AliasesByQuirk(const FunctionIds& ids, Bdf bdf);

// A bridge to conventional PCI behind which each device keeps its own requester id.
bool DoesNotAlias(const FunctionIds& ids);
// A bridge at which the IOMMU is: those above do not matter.
bool IsTranslationRoot(const FunctionIds& ids);

}  // namespace vfiolab
