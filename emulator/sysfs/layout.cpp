#include "sysfs/layout.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace vfiolab::sysfs {
namespace {

std::string BusName(u16 segment, u8 bus) { return fmt::format("{:04x}:{:02x}", segment, bus); }

std::string FunctionPath(const Machine& machine, Bdf bdf);

// What bus `bus` hangs on.
std::string BusPath(const Machine& machine, u16 segment, u8 bus) {
  if (const Bridge* bridge = machine.BridgeTo(segment, bus))
    return FunctionPath(machine, bridge->bdf);
  if (const auto beside = machine.BusBeside(segment, bus))
    return BusPath(machine, segment, *beside);
  return "devices/pci" + BusName(segment, bus);
}

// Ends: a bridge's own bus is below its secondary bus.
std::string FunctionPath(const Machine& machine, Bdf bdf) {
  return BusPath(machine, bdf.segment, bdf.bus) + "/" + bdf.ToString();
}

}  // namespace

std::string PciFunction::driver() const {
  if (slot != nullptr) return slot->driver();
  // The driver of ports knows no bridge to another kind of bus (drivers/pci/pcie/portdrv.c).
  const auto type = ExpressType(bridge->config);
  const bool is_port = type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_UPSTREAM ||
                       type == PCI_EXP_TYPE_DOWNSTREAM;
  return is_port ? "pcieport" : "";
}

Layout LayOut(Machine& machine) {
  Layout layout;
  std::map<std::string, std::string> buses;
  const auto add = [&](Bdf bdf, DeviceSlot* slot, Bridge* bridge) {
    layout.functions.push_back(
        {bdf, FunctionPath(machine, bdf), slot, bridge, machine.kernel().has_vfio()});
    buses.emplace(BusName(bdf.segment, bdf.bus), BusPath(machine, bdf.segment, bdf.bus));
  };
  for (const auto& [bdf, slot] : machine.devices()) add(bdf, slot.get(), nullptr);
  for (auto& [bdf, bridge] : machine.bridges()) {
    add(bdf, nullptr, &bridge);
    // A bridge has a bus behind it, even an empty one.
    buses.emplace(BusName(bdf.segment, bridge.secondary_bus), FunctionPath(machine, bdf));
  }
  std::ranges::sort(layout.functions, {}, &PciFunction::bdf);
  for (const auto& [name, path] : buses) layout.buses.push_back({name, path});
  return layout;
}

std::string DriverPath(std::string_view driver) {
  return fmt::format("bus/pci/drivers/{}", driver);
}

std::string GroupPath(const IommuGroup& group) {
  return fmt::format("kernel/iommu_groups/{}", group.id());
}

}  // namespace vfiolab::sysfs
