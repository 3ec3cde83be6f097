// Which functions Linux puts into one IOMMU group (drivers/iommu/iommu.c pci_device_group): those
// that the IOMMU cannot tell apart, and those that reach each other without passing it.
#pragma once
#include "machine/machine.hpp"

namespace vfiolab {

// The group of a function that has come to the bus: that of another one, or a new one. The function
// is in no group yet. Config spaces are complete.
IommuGroup& GroupFor(Machine& machine, DeviceSlot& slot);
IommuGroup& GroupFor(Machine& machine, Bridge& bridge);

// Puts all devices into groups, in the order in which Linux finds them: platform devices, each on
// its own; functions of each bus by address, then what is behind its bridges; virtual functions
// last.
void AssignGroups(Machine& machine);

}  // namespace vfiolab
