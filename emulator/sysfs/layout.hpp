// Where the PCI functions and buses of a machine have their directories.
#pragma once
#include <string>
#include <vector>

#include "machine/machine.hpp"

namespace vfiolab::sysfs {

inline constexpr std::string_view kIommuPath = "devices/virtual/iommu/dmar0";

// A device or a bridge: exactly one of `slot` and `bridge` is set.
struct PciFunction {
  Bdf bdf;
  std::string path;  // below the bridges that lead to it: "devices/pci0000:00/0000:00:1c.0"
  DeviceSlot* slot;
  Bridge* bridge;
  bool shows_group;  // false on kernels that show none

  const ConfigSpace& config() const { return slot != nullptr ? slot->config() : bridge->config; }
  // Null when the IOMMU does not know the function.
  const IommuGroup* group() const {
    if (!shows_group) return nullptr;
    return slot != nullptr ? slot->group_if_any() : bridge->group;
  }
  // Empty when none is bound.
  std::string driver() const;
  bool BoundToVfio() const { return driver() == kVfioPci; }
  // A client can hold the device open only while its group's DMA leads somewhere.
  bool InUse() const { return BoundToVfio() && group() != nullptr && group()->ioas() != nullptr; }
};

struct PciBus {
  std::string name;  // "0000:01"
  std::string path;  // of what the bus hangs on: a bridge, or "devices/pci0000:01"
};

struct Layout {
  std::vector<PciFunction> functions;  // in Bdf order
  std::vector<PciBus> buses;           // ordered by name
};

Layout LayOut(Machine& machine);

std::string DriverPath(std::string_view driver);
std::string GroupPath(const IommuGroup& group);

}  // namespace vfiolab::sysfs
