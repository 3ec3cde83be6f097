// The modules that VFIO consists of.
#include <fmt/format.h>

#include <limits>
#include <optional>

#include "sysfs/number.hpp"
#include "sysfs/parts.hpp"

namespace vfiolab::sysfs {

void AddModule(Tree& tree, const std::string& path, unsigned users) {
  tree.Line(path + "/initstate", "live");
  tree.Line(path + "/refcnt", std::to_string(users));
  tree.Line(path + "/taint", "");
}

namespace {

// lib/kstrtox.c kstrtobool: by the first letters.
std::optional<bool> ParseFlag(std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (std::string_view("yYtT1").find(text[0]) != text.npos) return true;
  if (std::string_view("nNfF0").find(text[0]) != text.npos) return false;
  if ((text[0] | 0x20) != 'o' || text.size() < 2) return std::nullopt;
  if ((text[1] | 0x20) == 'n') return true;
  return (text[1] | 0x20) == 'f' ? std::optional(false) : std::nullopt;
}

void AddFlag(Tree& tree, const std::string& path, bool& flag) {
  tree.Writable(
      path, [&flag] { return std::string(flag ? "Y\n" : "N\n"); },
      [&flag](std::string_view text) -> Reply {
        const auto value = ParseFlag(text);
        if (!value) return Fail(EINVAL, "neither yes nor no");
        flag = *value;
        return static_cast<long>(text.size());
      });
}

void AddNumber(Tree& tree, const std::string& path, u32& number) {
  tree.Writable(
      path, [&number] { return fmt::format("{}\n", number); },
      [&number](std::string_view text) -> Reply {
        const auto value = ParseNumber(text);
        if (!value) return Fail(EINVAL, "not a number");
        if (*value > std::numeric_limits<u32>::max()) return Fail(ERANGE, "beyond 32 bits");
        number = static_cast<u32>(*value);
        return static_cast<long>(text.size());
      });
}

void AddPlatformModules(Tree& tree, bool reset_required) {
  for (const char* name : {"vfio_platform_base", "vfio_platform"}) {
    const std::string path = fmt::format("module/{}", name);
    AddModule(tree, path, path.ends_with("base") ? 1 : 0);
    tree.Line(path + "/version", "0.10");
  }
  // It is read when a device is probed, and cannot be set but when the module is loaded.
  tree.Line("module/vfio_platform/parameters/reset_required", reset_required ? "Y" : "N");
  tree.Link("module/vfio_platform/drivers/platform:vfio-platform",
            "bus/platform/drivers/vfio-platform");
}

}  // namespace

void AddModules(Tree& tree, Machine& machine) {
  const bool platform = !machine.platform_devices().empty();
  AddModule(tree, "module/vfio", platform ? 5 : 3);
  tree.Line("module/vfio/version", "0.3");
  if (platform) AddPlatformModules(tree, machine.kernel().platform_reset_required);
  ModuleParameters& parameters = machine.parameters();
  if (machine.kernel().has_early_api())
    AddNumber(tree, "module/vfio/parameters/allow_unsafe_intrs", parameters.allow_unsafe_intrs);
  if (!machine.kernel().has_vfio()) return;
  AddModule(tree, "module/vfio_iommu_type1", 0);
  tree.Line("module/vfio_iommu_type1/version", "0.2");
  AddModule(tree, "module/vfio_pci_core", 1);
  AddModule(tree, "module/vfio_pci", 0);
  tree.Link("module/vfio_pci/drivers/pci:vfio-pci", DriverPath(kVfioPci));
  const std::string pci = "module/vfio_pci/parameters/";
  tree.Line(pci + "disable_denylist", "N");
  tree.Line(pci + "disable_vga", "N");
  AddFlag(tree, pci + "disable_idle_d3", parameters.disable_idle_d3);
  AddFlag(tree, pci + "enable_sriov", parameters.enable_sriov);
  AddFlag(tree, pci + "nointxmask", parameters.nointxmask);
  const std::string type1 = "module/vfio_iommu_type1/parameters/";
  AddFlag(tree, type1 + "allow_unsafe_interrupts", parameters.allow_unsafe_interrupts);
  AddFlag(tree, type1 + "disable_hugepages", parameters.disable_hugepages);
  AddNumber(tree, type1 + "dma_entry_limit", parameters.dma_entry_limit);
}

}  // namespace vfiolab::sysfs
