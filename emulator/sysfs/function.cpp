// The attributes that describe one PCI device or bridge (drivers/pci/pci-sysfs.c).
#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>
#include <array>

#include "pci/function_reset.hpp"
#include "sysfs/number.hpp"
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
      function.driver().empty() ? "" : "DRIVER=" + function.driver() + "\n", ids.class_code,
      ids.vendor, ids.device, ids.subsystem_vendor, ids.subsystem_device, function.bdf.ToString(),
      Modalias(ids));
}

// The pins of a slot go to four lines of the interrupt controller in turn, as chipsets wire them.
u32 IrqOf(const PciFunction& function) {
  const u32 pin = function.config().Get(PCI_INTERRUPT_PIN, 1);
  return pin == 0 ? 0 : 16 + (function.bdf.device + pin - 1) % 4;
}

// How the kernel found that it can reset the function alone; empty when it cannot.
std::string FoundResets(const PciFunction& function) {
  return function.slot != nullptr ? function.slot->FoundResets()
                                  : FunctionResets(function.config());
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
  tree.Text(path + "/uevent", [function, ids] { return Uevent(function, ids) + "\n"; });
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

// vfio-pci lets an idle device sleep and wakes it when it is opened, or makes virtual functions;
// other functions stay awake.
void AddPower(Tree& tree, const PciFunction& function) {
  const std::string path = function.path + "/power/";
  const auto add = [&](const char* name, const char* for_vfio, const char* else_) {
    tree.Text(path + name,
              [=] { return fmt::format("{}\n", function.BoundToVfio() ? for_vfio : else_); });
  };
  add("control", "auto", "on");
  add("runtime_enabled", "enabled", "forbidden");
  tree.Text(path + "runtime_status", [function] {
    const bool idle = function.BoundToVfio() && !function.InUse() &&
                      function.slot->machine().pci_bus().CountVirtualFunctions(*function.slot) == 0;
    return std::string(idle ? "suspended\n" : "active\n");
  });
  tree.Text(function.path + "/power_state", [function] { return PowerState(function.config()); });
}

void AddOverride(Tree& tree, const PciFunction& function) {
  const std::string path = function.path + "/driver_override";
  DeviceSlot* slot = function.slot;
  if (slot == nullptr) return tree.Line(path, "(null)");
  AddOverride(
      tree, path, [slot] { return slot->driver_override(); },
      [slot](Override name) { slot->set_driver_override(std::move(name)); });
}

// drivers/pci/pci.c reset_method_store: names of methods that there are, "default", or nothing.
Reply ChooseResets(DeviceSlot& slot, std::string_view text) {
  const std::string_view wanted = FirstLine(text);
  const std::string available = " " + slot.AvailableResets() + " ";
  if (wanted == "default") {
    slot.ChooseResets(slot.AvailableResets());
    return static_cast<long>(text.size());
  }
  for (std::string_view left = wanted; !left.empty();) {
    const std::string_view method = left.substr(0, left.find(' '));
    left.remove_prefix(std::min(left.size(), method.size() + 1));
    if (!method.empty() && available.find(fmt::format(" {} ", method)) == available.npos)
      return Fail(EINVAL, fmt::format("the function has no reset '{}'", method));
  }
  slot.ChooseResets(std::string(wanted));
  return static_cast<long>(text.size());
}

// drivers/pci/pci-sysfs.c reset_store.
Reply ResetBySysfs(DeviceSlot& slot, std::string_view text) {
  if (ParseNumber(text) != u64{1}) return Fail(EINVAL, "only 1 resets");
  if (!slot.CanReset())
    return Fail(ENOTTY, fmt::format("no reset method of '{}' works", slot.Resets()));
  slot.ResetFunction();
  return static_cast<long>(text.size());
}

void AddResets(Tree& tree, const PciFunction& function) {
  const std::string& path = function.path;
  DeviceSlot* slot = function.slot;
  if (slot == nullptr) return tree.Line(path + "/reset_method", FoundResets(function));
  tree.Writable(
      path + "/reset_method",
      [slot] {
        const std::string methods = slot->Resets();
        return methods.empty() ? "" : methods + "\n";
      },
      [slot](std::string_view text) { return ChooseResets(*slot, text); });
  tree.Writable(path + "/reset", nullptr,
                [slot](std::string_view text) { return ResetBySysfs(*slot, text); });
}

void AddSettings(Tree& tree, const PciFunction& function) {
  const std::string& path = function.path;
  AddOverride(tree, function);
  tree.Text(path + "/enable", [function] {
    const bool host_driver = !function.driver().empty() && !function.BoundToVfio();
    return std::string(host_driver || function.InUse() ? "1\n" : "0\n");
  });
  tree.Line(path + "/numa_node", "-1");
  tree.Line(path + "/msi_bus", "1");
  tree.Line(path + "/ari_enabled", "0");
  tree.Line(path + "/d3cold_allowed", "1");
  tree.Line(path + "/broken_parity_status", "0");
  tree.Line(path + "/dma_mask_bits", "32");
  tree.Line(path + "/consistent_dma_mask_bits", "32");
  if (!FoundResets(function).empty()) AddResets(tree, function);
}

void AddLinks(Tree& tree, const PciFunction& function) {
  const std::string& path = function.path;
  tree.Link(path + "/subsystem", "bus/pci");
  // Before groups were objects of the kernel, a device's told its number.
  if (function.slot != nullptr && !function.slot->machine().kernel().has_vfio())
    tree.Line(path + "/iommu_group", std::to_string(function.slot->group().id()));
  if (function.group() == nullptr) return;
  tree.Link(path + "/iommu_group", GroupPath(*function.group()));
  tree.Link(path + "/iommu", kIommuPath);
}

}  // namespace

// What a write leaves: drivers/base/driver.c driver_set_override.
void AddOverride(Tree& tree, const std::string& path, std::function<Override()> show,
                 std::function<void(Override)> set) {
  tree.Writable(
      path, [show = std::move(show)] { return show().value_or("(null)") + "\n"; },
      [set = std::move(set)](std::string_view text) -> Reply {
        if (text.size() >= kPageSize - 1) return Fail(EINVAL, "too long for the name of a driver");
        // A string of the kernel ends with its first zero, which is how some tools say that there
        // is none.
        const std::string_view line = FirstLine(text), name = line.substr(0, line.find('\0'));
        set(name.empty() ? std::nullopt : Override(std::string(name)));
        return static_cast<long>(text.size());
      });
}

void AddFunction(Tree& tree, const PciFunction& function, const CpuSet& cpus) {
  tree.MakeFleeting(function.path);
  AddIdentity(tree, function);
  AddSettings(tree, function);
  AddPower(tree, function);
  AddLink(tree, function);
  AddLinks(tree, function);
  if (function.slot != nullptr && function.slot->has_sriov()) AddSriov(tree, function);
  tree.Line(function.path + "/local_cpus", cpus.mask);
  tree.Line(function.path + "/local_cpulist", cpus.list);
  if (function.bridge == nullptr) return;
  tree.Line(function.path + "/secondary_bus_number",
            std::to_string(function.bridge->secondary_bus));
  tree.Line(function.path + "/subordinate_bus_number",
            std::to_string(function.bridge->subordinate_bus));
}

}  // namespace vfiolab::sysfs
