// Platform devices and their bus type (drivers/base/platform.c, drivers/of/device.c).
#include <fmt/format.h>

#include "sysfs/parts.hpp"
#include "sysfs/waiting.hpp"

namespace vfiolab::sysfs {
namespace {

const std::string kBus = "bus/platform";

std::string PathOf(const PlatformSlot& slot) { return "devices/platform/" + slot.name(); }
std::string DriverPathOf(const std::string& driver) { return kBus + "/drivers/" + driver; }

// How a device tree has the device: "fe000000.copier" is the node copier@fe000000.
struct TreeNode {
  std::string name, full_name;
};

TreeNode NodeOf(const std::string& name) {
  const std::size_t dot = name.find('.');
  if (dot == name.npos) return {name, "/" + name};
  const std::string node = name.substr(dot + 1);
  return {node, fmt::format("/{}@{}", node, name.substr(0, dot))};
}

std::string Modalias(const PlatformSlot& slot) {
  return fmt::format("of:N{}T(null)C{}", NodeOf(slot.name()).name,
                     slot.device().identity().compatible);
}

std::string Uevent(const PlatformSlot& slot) {
  const TreeNode node = NodeOf(slot.name());
  return fmt::format(
      "{}OF_NAME={}\nOF_FULLNAME={}\nOF_COMPATIBLE_0={}\nOF_COMPATIBLE_N=1\nMODALIAS={}\n",
      slot.driver().empty() ? "" : "DRIVER=" + slot.driver() + "\n", node.name, node.full_name,
      slot.device().identity().compatible, Modalias(slot));
}

void AddDevice(Tree& tree, PlatformSlot& slot) {
  const std::string path = PathOf(slot);
  tree.MakeFleeting(path);
  tree.Link(path + "/subsystem", kBus);
  tree.Link(kBus + "/devices/" + slot.name(), path);
  tree.Line(path + "/modalias", Modalias(slot));
  tree.Text(path + "/uevent", [&slot] { return Uevent(slot); });
  AddOverride(
      tree, path + "/driver_override", [&slot] { return slot.driver_override(); },
      [&slot](Override name) { slot.set_driver_override(std::move(name)); });
  if (!slot.machine().kernel().has_vfio())
    return tree.Line(path + "/iommu_group", std::to_string(slot.group().id()));
  tree.Link(path + "/iommu_group", GroupPath(slot.group()));
  tree.Link(path + "/iommu", kIommuPath);
  tree.Link(GroupPath(slot.group()) + "/devices/" + slot.name(), path);
  tree.Link(std::string(kIommuPath) + "/devices/" + slot.name(), path);
}

class PlatformDrivers final : public PlatformListener {
 public:
  PlatformDrivers(Tree tree, Machine& machine, std::shared_ptr<Classes> classes)
      : tree_(tree), bus_(machine.platform_bus()), classes_(std::move(classes)) {
    if (machine.kernel().has_vfio()) {
      AddDriver(std::string(kVfioPlatform));
      tree_.Link(DriverPathOf(std::string(kVfioPlatform)) + "/module", "module/vfio_platform");
    } else {
      AddDriver(std::string(kEarlyVfio));
    }
    for (const auto& [name, slot] : machine.platform_devices())
      if (!slot->driver().empty()) OnBound(*slot);
  }

  void OnBound(PlatformSlot& slot) override {
    AddDriver(slot.driver());
    tree_.Link(PathOf(slot) + "/driver", DriverPathOf(slot.driver()));
    tree_.Link(DriverPathOf(slot.driver()) + "/" + slot.name(), PathOf(slot));
    if (slot.driver() == kVfioPlatform) classes_->AddVfio(PathOf(slot), &slot.group());
  }

  void OnUnbinding(PlatformSlot& slot, const std::string& driver) override {
    tree_.Remove(PathOf(slot) + "/driver");
    tree_.Remove(DriverPathOf(driver) + "/" + slot.name());
    if (driver == kVfioPlatform) classes_->RemoveVfio(PathOf(slot));
  }

  void OnUnbound(PlatformSlot& slot, const std::string& driver) override {
    if (driver == kVfioPlatform) classes_->LeaveGroup(&slot.group());
  }

 private:
  void AddDriver(const std::string& name) {
    if (!known_.insert(name).second) return;
    const std::string path = DriverPathOf(name);
    tree_.MakeDirectory(path);
    if (!bus_.IsRegistered(name)) return;
    tree_.Writable(path + "/bind", nullptr,
                   Acting([this, name](std::string_view text) { return bus_.Bind(name, text); }));
    tree_.Writable(path + "/unbind", nullptr, Unbinding(bus_, name));
  }

  Tree tree_;
  PlatformBusType& bus_;
  std::shared_ptr<Classes> classes_;
  std::set<std::string> known_;
};

}  // namespace

void AddPlatform(Tree& tree, Machine& machine, std::shared_ptr<Classes> classes) {
  if (machine.platform_devices().empty()) return;
  tree.Line(kBus + "/drivers_autoprobe", "1");
  tree.Writable(kBus + "/drivers_probe", nullptr, Acting([&machine](std::string_view text) {
                  return machine.platform_bus().Probe(text);
                }));
  tree.Text("devices/platform/uevent", [] { return std::string(); });
  for (const auto& [name, slot] : machine.platform_devices()) AddDevice(tree, *slot);
  machine.platform_bus().AddListener(
      std::make_unique<PlatformDrivers>(tree, machine, std::move(classes)));
}

}  // namespace vfiolab::sysfs
