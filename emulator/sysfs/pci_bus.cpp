// PCI buses, and the bus type that lists all devices and drivers.
#include <fmt/format.h>

#include "sysfs/number.hpp"
#include "sysfs/parts.hpp"
#include "sysfs/waiting.hpp"

namespace vfiolab::sysfs {

CpuSet FirstCpus(unsigned count) {
  CpuSet cpus;
  for (unsigned left = count; left > 0;) {
    const unsigned here = left % 32 == 0 ? 32 : left % 32;  // the first group may be short
    const u64 bits = (u64{1} << here) - 1;
    cpus.mask += fmt::format("{}{:0{}x}", left == count ? "" : ",", bits, (here + 3) / 4);
    left -= here;
  }
  cpus.list = count == 1 ? "0" : fmt::format("0-{}", count - 1);
  return cpus;
}

void AddBuses(Tree& tree, const Layout& layout, const CpuSet& cpus) {
  for (const PciBus& bus : layout.buses) {
    const std::string path = bus.path + "/pci_bus/" + bus.name;
    tree.Line(path + "/cpuaffinity", cpus.mask);
    tree.Line(path + "/cpulistaffinity", cpus.list);
    tree.Text(path + "/uevent", [] { return std::string(); });
    tree.Link(path + "/device", bus.path);
    tree.Link(path + "/subsystem", "class/pci_bus");
    tree.Link("class/pci_bus/" + bus.name, path);
  }
}

void AddPciBusType(Tree& tree, Machine& machine) {
  tree.Line("bus/pci/drivers_autoprobe", "1");
  tree.Writable("bus/pci/drivers_probe", nullptr, Acting([&machine](std::string_view text) {
                  return machine.pci_bus().Probe(text);
                }));
  tree.Writable("bus/pci/rescan", nullptr, WhenAsked([&machine](long written) -> Reply {
                  machine.pci_bus().Rescan();
                  return written;
                }));
  tree.MakeDirectory("bus/pci/devices");
  tree.MakeDirectory("bus/pci/slots");
}

TextFile::Store WhenAsked(std::function<Reply(long written)> act) {
  return [act = std::move(act)](std::string_view text) -> Reply {
    const auto number = ParseNumber(text);
    if (!number) return Fail(EINVAL, "not a number");
    const long written = static_cast<long>(text.size());
    return *number != 0 ? act(written) : Reply(written);
  };
}

void AddFunctionLinks(Tree& tree, const PciFunction& function) {
  const std::string name = function.bdf.ToString();
  tree.Link("bus/pci/devices/" + name, function.path);
  if (function.group() == nullptr) return;
  tree.Link(GroupPath(*function.group()) + "/devices/" + name, function.path);
  tree.Link(std::string(kIommuPath) + "/devices/" + name, function.path);
}

void RemoveFunctionLinks(Tree& tree, const PciFunction& function) {
  const std::string name = function.bdf.ToString();
  tree.Remove("bus/pci/devices/" + name);
  if (function.group() == nullptr) return;
  tree.Remove(GroupPath(*function.group()) + "/devices/" + name);
  tree.Remove(std::string(kIommuPath) + "/devices/" + name);
}

}  // namespace vfiolab::sysfs
