// What VFIO adds to /sys: its groups, its devices and its modules.
#include <fmt/format.h>

#include <algorithm>

#include "sysfs/parts.hpp"

namespace vfiolab::sysfs {
namespace {

// From the kernel's second range of dynamic majors, which hosts hardly ever reach: nobody who looks
// these numbers up in /dev/char shall find a device of the host.
constexpr unsigned kGroupMajor = 385;

// Makes `path` a device of class `class_name`.
void AddClassDevice(Tree& tree, const std::string& path, std::string_view class_name) {
  const std::string class_path = fmt::format("class/{}", class_name);
  tree.Link(path + "/subsystem", class_path);
  tree.Link(class_path + path.substr(path.rfind('/')), path);
}

void AddGroups(Tree& tree, const Machine& machine) {
  tree.MakeDirectory("class/vfio");
  unsigned minor = 0;
  for (const auto& [id, group] : machine.groups()) {
    const bool bound = std::ranges::any_of(
        group.devices(), [](const DeviceSlot* slot) { return slot->driver() == kVfioPci; });
    if (!bound) continue;
    const std::string path = fmt::format("devices/virtual/vfio/{}", id);
    tree.Line(path + "/dev", fmt::format("{}:{}", kGroupMajor, minor));
    tree.Line(path + "/uevent",
              fmt::format("MAJOR={}\nMINOR={}\nDEVNAME=vfio/{}", kGroupMajor, minor, id));
    AddClassDevice(tree, path, "vfio");
    ++minor;
  }
}

void AddDevices(Tree& tree, const Layout& layout) {
  tree.MakeDirectory("class/vfio-dev");
  unsigned number = 0;
  for (const PciFunction& function : layout.functions) {
    if (!function.BoundToVfio()) continue;
    const std::string name = fmt::format("vfio{}", number);
    const std::string path = function.path + "/vfio-dev/" + name;
    // As on a kernel without device nodes for VFIO devices: no `dev`, and nothing to say.
    tree.Text(path + "/uevent", [] { return std::string(); });
    AddClassDevice(tree, path, "vfio-dev");
    ++number;
    tree.Link(path + "/device", function.path);
  }
}

// `users` is how many other modules need this one.
void AddModule(Tree& tree, const std::string& path, unsigned users) {
  tree.Line(path + "/initstate", "live");
  tree.Line(path + "/refcnt", std::to_string(users));
  tree.Line(path + "/taint", "");
}

}  // namespace

void AddVfio(Tree& tree, const Machine& machine, const Layout& layout) {
  AddGroups(tree, machine);
  AddDevices(tree, layout);
}

void AddModules(Tree& tree, const Machine& machine) {
  AddModule(tree, "module/vfio", 3);
  tree.Line("module/vfio/version", "0.3");
  AddModule(tree, "module/vfio_iommu_type1", 0);
  tree.Line("module/vfio_iommu_type1/version", "0.2");
  AddModule(tree, "module/vfio_pci_core", 1);
  AddModule(tree, "module/vfio_pci", 0);
  tree.Link("module/vfio_pci/drivers/pci:vfio-pci", DriverPath(kVfioPci));
  for (const char* name :
       {"disable_denylist", "disable_idle_d3", "disable_vga", "enable_sriov", "nointxmask"})
    tree.Line(std::string("module/vfio_pci/parameters/") + name, "N");
  const std::string type1 = "module/vfio_iommu_type1/parameters/";
  tree.Line(type1 + "allow_unsafe_interrupts", "N");
  tree.Line(type1 + "disable_hugepages", "N");
  tree.Line(type1 + "dma_entry_limit", std::to_string(machine.iommu().mapping_limit));
}

}  // namespace vfiolab::sysfs
