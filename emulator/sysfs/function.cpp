// The attributes that describe one PCI device or bridge (drivers/pci/pci-sysfs.c).
#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>
#include <array>

#include "pci/function_reset.hpp"
#include "sysfs/parts.hpp"

namespace vfiolab::sysfs {
namespace {

struct Ids {
  u32 vendor, device, subsystem_vendor, subsystem_device, class_code, revision;
};

Ids IdsOf(const PciFunction& function) {
  const ConfigSpace& config = function.config();
  // A type 1 header has no subsystem; the kernel shows zeros.
  const bool has_subsystem = function.slot != nullptr;
  // The config space of a virtual function shows no ids.
  const PciIdentity* identity = function.slot ? &function.slot->device().identity() : nullptr;
  return {identity ? identity->vendor_id : config.Get(PCI_VENDOR_ID, 2),
          identity ? identity->device_id : config.Get(PCI_DEVICE_ID, 2),
          has_subsystem ? config.Get(PCI_SUBSYSTEM_VENDOR_ID, 2) : 0,
          has_subsystem ? config.Get(PCI_SUBSYSTEM_ID, 2) : 0,
          config.Get(PCI_CLASS_REVISION, 4) >> 8,
          config.Get(PCI_REVISION_ID, 1)};
}

std::string Modalias(const Ids& ids) {
  return fmt::format("pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{:02X}sc{:02X}i{:02X}", ids.vendor,
                     ids.device, ids.subsystem_vendor, ids.subsystem_device, ids.class_code >> 16,
                     ids.class_code >> 8 & 0xff, ids.class_code & 0xff);
}

std::string Uevent(const PciFunction& function, const Ids& ids) {
  return fmt::format(
      "{}PCI_CLASS={:04X}\nPCI_ID={:04X}:{:04X}\nPCI_SUBSYS_ID={:04X}:{:04X}\nPCI_SLOT_NAME={}\n"
      "MODALIAS={}",
      function.driver.empty() ? "" : "DRIVER=" + function.driver + "\n", ids.class_code, ids.vendor,
      ids.device, ids.subsystem_vendor, ids.subsystem_device, function.bdf.ToString(),
      Modalias(ids));
}

// The pins of a slot go to four lines of the interrupt controller in turn, as chipsets wire them.
u32 IrqOf(const PciFunction& function) {
  const u32 pin = function.config().Get(PCI_INTERRUPT_PIN, 1);
  return pin == 0 ? 0 : 16 + (function.bdf.device + pin - 1) % 4;
}

bool AloneOnBus(const PciFunction& function) {
  const Machine& machine = function.slot->machine();
  const auto beside = [&](const auto& entry) {
    return entry.first != function.bdf && entry.first.segment == function.bdf.segment &&
           entry.first.bus == function.bdf.bus;
  };
  return std::ranges::none_of(machine.devices(), beside) &&
         std::ranges::none_of(machine.bridges(), beside);
}

// How the kernel can reset the function alone, in the order in which it would try
// (drivers/pci/pci.c pci_reset_fn_methods); empty when it cannot.
std::string ResetMethods(const PciFunction& function) {
  std::string methods = FunctionResets(function.config());
  if (function.slot == nullptr) return methods;
  const Machine& machine = function.slot->machine();
  if (machine.BridgeTo(function.bdf.segment, function.bdf.bus) != nullptr && AloneOnBus(function))
    methods += methods.empty() ? "bus" : " bus";
  return methods;
}

std::string_view SpeedName(u32 code) {
  constexpr std::array kNames{"2.5 GT/s PCIe",  "5.0 GT/s PCIe",  "8.0 GT/s PCIe",
                              "16.0 GT/s PCIe", "32.0 GT/s PCIe", "64.0 GT/s PCIe"};
  return code >= 1 && code <= kNames.size() ? kNames[code - 1] : "Unknown";
}

void AddIdentity(Tree& tree, const PciFunction& function) {
  const std::string& path = function.path;
  const Ids ids = IdsOf(function);
  tree.Line(path + "/vendor", fmt::format("{:#06x}", ids.vendor));
  tree.Line(path + "/device", fmt::format("{:#06x}", ids.device));
  tree.Line(path + "/subsystem_vendor", fmt::format("{:#06x}", ids.subsystem_vendor));
  tree.Line(path + "/subsystem_device", fmt::format("{:#06x}", ids.subsystem_device));
  tree.Line(path + "/class", fmt::format("{:#08x}", ids.class_code));
  tree.Line(path + "/revision", fmt::format("{:#04x}", ids.revision));
  tree.Line(path + "/modalias", Modalias(ids));
  tree.Line(path + "/uevent", Uevent(function, ids));
  tree.Line(path + "/irq", std::to_string(IrqOf(function)));
  tree.Text(path + "/resource", [function] { return ResourceText(function); });
}

void AddLink(Tree& tree, const PciFunction& function) {
  const u8 express = function.config().FindCapability(PCI_CAP_ID_EXP);
  if (express == 0) return;
  const auto add = [&](std::string_view name, unsigned at, unsigned width, auto show) {
    tree.Text(fmt::format("{}/{}", function.path, name),
              [function, at, width, show] { return show(function.config().Get(at, width)); });
  };
  const auto speed = [](u32 link) { return fmt::format("{}\n", SpeedName(link & 0xf)); };
  const auto lanes = [](u32 link) { return fmt::format("{}\n", link >> 4 & 0x3f); };
  add("max_link_speed", express + PCI_EXP_LNKCAP, 4, speed);
  add("max_link_width", express + PCI_EXP_LNKCAP, 4, lanes);
  add("current_link_speed", express + PCI_EXP_LNKSTA, 2, speed);
  add("current_link_width", express + PCI_EXP_LNKSTA, 2, lanes);
}

// A function without power management is always on.
std::string PowerState(const ConfigSpace& config) {
  constexpr std::array kNames{"D0", "D1", "D2", "D3hot"};
  const u8 at = config.FindCapability(PCI_CAP_ID_PM);
  const u32 state = at == 0 ? 0 : config.Get(at + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK;
  return fmt::format("{}\n", kNames[state]);
}

// vfio-pci lets an idle device sleep and wakes it when it is opened; other functions stay awake.
void AddPower(Tree& tree, const PciFunction& function) {
  const std::string path = function.path + "/power/";
  const bool vfio = function.BoundToVfio();
  tree.Line(path + "control", vfio ? "auto" : "on");
  tree.Line(path + "runtime_enabled", vfio ? "enabled" : "forbidden");
  tree.Text(path + "runtime_status", [function, vfio] {
    return std::string(vfio && !function.InUse() ? "suspended\n" : "active\n");
  });
  tree.Text(function.path + "/power_state", [function] { return PowerState(function.config()); });
}

void AddSettings(Tree& tree, const PciFunction& function) {
  const std::string& path = function.path;
  tree.Line(path + "/driver_override",
            function.BoundToVfio() ? std::string(kVfioPci) : std::string("(null)"));
  const bool host_driver = !function.driver.empty() && !function.BoundToVfio();
  tree.Text(path + "/enable", [function, host_driver] {
    return std::string(host_driver || function.InUse() ? "1\n" : "0\n");
  });
  tree.Line(path + "/numa_node", "-1");
  tree.Line(path + "/msi_bus", "1");
  tree.Line(path + "/ari_enabled", "0");
  tree.Line(path + "/d3cold_allowed", "1");
  tree.Line(path + "/broken_parity_status", "0");
  tree.Line(path + "/dma_mask_bits", "32");
  tree.Line(path + "/consistent_dma_mask_bits", "32");
  // It is there for a function that could be reset, though somebody has taken all methods away.
  const bool taken_away = function.slot != nullptr && !function.slot->resets();
  if (taken_away)
    tree.Text(path + "/reset_method", [] { return std::string(); });
  else if (std::string methods = ResetMethods(function); !methods.empty())
    tree.Line(path + "/reset_method", std::move(methods));
}

void AddVirtualFunctions(Tree& tree, const PciFunction& function) {
  const DeviceSlot& slot = *function.slot;
  const auto beside = [&](const DeviceSlot& other) {
    return function.path.substr(0, function.path.rfind('/') + 1) + other.bdf().ToString();
  };
  if (slot.physical_function() != nullptr)
    tree.Link(function.path + "/physfn", beside(*slot.physical_function()));
  if (!slot.has_sriov()) return;
  const auto& virtuals = slot.virtual_functions();
  for (std::size_t i = 0; i < virtuals.size(); ++i)
    tree.Link(fmt::format("{}/virtfn{}", function.path, i), beside(*virtuals[i]));
  const u16 at = slot.config().FindExtendedCapability(PCI_EXT_CAP_ID_SRIOV);
  const auto add = [&](std::string_view name, std::string value) {
    tree.Line(fmt::format("{}/sriov_{}", function.path, name), std::move(value));
  };
  add("totalvfs", std::to_string(slot.config().Get(at + PCI_SRIOV_TOTAL_VF, 2)));
  add("numvfs", std::to_string(virtuals.size()));
  add("offset", std::to_string(slot.config().Get(at + PCI_SRIOV_VF_OFFSET, 2)));
  add("stride", std::to_string(slot.config().Get(at + PCI_SRIOV_VF_STRIDE, 2)));
  add("vf_device", fmt::format("{:x}", slot.config().Get(at + PCI_SRIOV_VF_DID, 2)));
  add("drivers_autoprobe", "1");
}

void AddLinks(Tree& tree, const PciFunction& function) {
  const std::string& path = function.path;
  tree.Link(path + "/subsystem", "bus/pci");
  if (!function.driver.empty()) tree.Link(path + "/driver", DriverPath(function.driver));
  if (function.group == nullptr) return;
  tree.Link(path + "/iommu_group", GroupPath(*function.group));
  tree.Link(path + "/iommu", kIommuPath);
}

}  // namespace

void AddFunction(Tree& tree, const PciFunction& function, const CpuSet& cpus) {
  AddIdentity(tree, function);
  AddSettings(tree, function);
  AddPower(tree, function);
  AddLink(tree, function);
  AddLinks(tree, function);
  if (function.slot != nullptr) AddVirtualFunctions(tree, function);
  tree.Line(function.path + "/local_cpus", cpus.mask);
  tree.Line(function.path + "/local_cpulist", cpus.list);
  if (function.bridge == nullptr) return;
  tree.Line(function.path + "/secondary_bus_number",
            std::to_string(function.bridge->secondary_bus));
  tree.Line(function.path + "/subordinate_bus_number",
            std::to_string(function.bridge->subordinate_bus));
}

}  // namespace vfiolab::sysfs
