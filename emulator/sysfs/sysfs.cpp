#include "sysfs/sysfs.hpp"

#include "sysfs/parts.hpp"

namespace vfiolab::sysfs {

void AddSysfs(Machine& machine, Directory& sys, unsigned cpus, const Directory* nodes) {
  Tree tree(sys);
  const Layout layout = LayOut(machine);
  const CpuSet near = FirstCpus(cpus);
  for (const PciFunction& function : layout.functions) {
    AddFunction(tree, function, near);
    AddAccessFiles(tree, function);
    AddFunctionLinks(tree, function);
  }
  AddBuses(tree, layout, near);
  AddPciBusType(tree, machine);
  AddIommu(tree, machine);
  const auto classes = std::make_shared<Classes>(tree, nodes);
  AddDrivers(tree, machine, layout, near, classes);
  AddPlatform(tree, machine, classes);
  AddModules(tree, machine);
  AddPower(tree, machine);
}

}  // namespace vfiolab::sysfs
