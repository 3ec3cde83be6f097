#include "sysfs/sysfs.hpp"

#include "sysfs/parts.hpp"

namespace vfiolab::sysfs {

void AddSysfs(Machine& machine, Directory& sys, unsigned cpus) {
  Tree tree(sys);
  const Layout layout = LayOut(machine);
  const CpuSet near = FirstCpus(cpus);
  for (const PciFunction& function : layout.functions) {
    AddFunction(tree, function, near);
    AddAccessFiles(tree, function);
  }
  AddBuses(tree, layout, near);
  AddPciBusType(tree, machine, layout);
  AddIommu(tree, machine, layout);
  AddDrivers(tree, machine, layout);
  AddModules(tree, machine);
}

}  // namespace vfiolab::sysfs
