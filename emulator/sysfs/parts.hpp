// The parts that make up /sys; each adds directories of its own.
#pragma once
#include "sysfs/classes.hpp"
#include "sysfs/layout.hpp"
#include "sysfs/tree.hpp"

namespace vfiolab::sysfs {

// The two texts that name a set of CPUs.
struct CpuSet {
  std::string mask;  // hexadecimal, in groups of 32: "f,ffffffff"
  std::string list;  // "0-35"
};
CpuSet FirstCpus(unsigned count);  // `count` is not 0

// devices/pciSSSS:BB/...: the directory of one device or bridge.
void AddFunction(Tree& tree, const PciFunction& function, const CpuSet& cpus);
// The line for each resource of a function: where it lies and what kind it is.
std::string ResourceText(const PciFunction& function);
// What a function with SR-IOV has in its directory.
void AddSriov(Tree& tree, const PciFunction& function);
// virtfnN and physfn.
void LinkVirtualFunction(Tree& tree, const PciFunction& physical, const PciFunction& function);
void UnlinkVirtualFunction(Tree& tree, const PciFunction& physical, const PciFunction& function);
// config and resourceN: the files through which a function is reached.
void AddAccessFiles(Tree& tree, const PciFunction& function);
// devices/**/pci_bus/SSSS:BB and class/pci_bus.
void AddBuses(Tree& tree, const Layout& layout, const CpuSet& cpus);
// bus/pci: what brings devices and drivers together.
void AddPciBusType(Tree& tree, Machine& machine);
// The links to a function from where the IOMMU's and the bus's are.
void AddFunctionLinks(Tree& tree, const PciFunction& function);
void RemoveFunctionLinks(Tree& tree, const PciFunction& function);
// What a write of a number other than 0 does, as `remove` and `rescan` take it.
TextFile::Store WhenAsked(std::function<Reply(long written)> act);
// kernel/iommu_groups/N, which goes with the last device of the group.
void AddIommuGroup(Tree& tree, const Machine& machine, const IommuGroup& group);
// devices/virtual/iommu/dmar0, class/iommu and kernel/iommu_groups.
void AddIommu(Tree& tree, const Machine& machine);
// bus/pci/drivers, and what depends on which function each has, now and later.
void AddDrivers(Tree& tree, Machine& machine, const Layout& layout, const CpuSet& cpus,
                std::shared_ptr<Classes> classes);
// devices/platform and bus/platform, where the machine has such devices.
void AddPlatform(Tree& tree, Machine& machine, std::shared_ptr<Classes> classes);
// driver_override at `path`: `show` gives what is set, `set` takes it.
using Override = std::optional<std::string>;
void AddOverride(Tree& tree, const std::string& path, std::function<Override()> show,
                 std::function<void(Override)> set);
// power/state, where somebody wants to know of it.
void AddPower(Tree& tree, Machine& machine);
// A module that `users` other modules need.
void AddModule(Tree& tree, const std::string& path, unsigned users);
// module/vfio*.
void AddModules(Tree& tree, Machine& machine);

}  // namespace vfiolab::sysfs
