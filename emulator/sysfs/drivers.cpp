// bus/pci/drivers, and what in /sys depends on which driver has which function.
#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <set>

#include "sysfs/parts.hpp"
#include "sysfs/waiting.hpp"

namespace vfiolab::sysfs {
namespace {

// Beside that of groups, for the same reason (classes.cpp).
constexpr unsigned kDeviceMajor = 386;

// A driver of the host comes with a module of its name.
std::string ModuleOf(std::string driver) {
  std::ranges::replace(driver, '-', '_');
  return "module/" + driver;
}

class Drivers final : public DriverListener {
 public:
  Drivers(Tree tree, Machine& machine, Layout layout, CpuSet cpus, std::shared_ptr<Classes> classes)
      : tree_(tree),
        machine_(machine),
        layout_(std::move(layout)),
        cpus_(std::move(cpus)),
        classes_(std::move(classes)) {
    if (machine_.kernel().has_vfio()) {
      AddDriver(std::string(kVfioPci));
      tree_.Link(DriverPath(kVfioPci) + "/module", "module/vfio_pci");
    }
    if (machine_.kernel().has_early_api()) AddDriver(std::string(kEarlyVfio));
    for (const PciFunction& function : layout_.functions) {
      if (!function.driver().empty()) Add(function);
      AddScanning(function);
      if (function.slot != nullptr && function.slot->physical_function() != nullptr)
        OnVirtualFunction(*function.slot, true);
    }
    for (const auto& [name, device] : machine_.pci_bus().class_devices())
      OnClassDevice(device, true);
  }

  void OnBound(DeviceSlot& slot) override { Add(FunctionOf(slot)); }

  void OnAdded(DeviceSlot& slot) override {
    const PciFunction& function = FunctionOf(slot);
    if (function.group() != nullptr && function.group()->size() == 1)
      AddIommuGroup(tree_, machine_, *function.group());
    AddFunction(tree_, function, cpus_);
    AddAccessFiles(tree_, function);
    AddFunctionLinks(tree_, function);
    AddScanning(function);
  }

  void OnRemoved(DeviceSlot& slot) override {
    const PciFunction& function = FunctionOf(slot);
    RemoveFunctionLinks(tree_, function);
    tree_.Remove(function.path);
    if (function.group() != nullptr && function.group()->size() == 0)
      tree_.Remove(GroupPath(*function.group()));
  }

  void OnVirtualFunction(DeviceSlot& slot, bool comes) override {
    const PciFunction& physical = FunctionOf(*slot.physical_function());
    if (comes)
      LinkVirtualFunction(tree_, physical, FunctionOf(slot));
    else
      UnlinkVirtualFunction(tree_, physical, FunctionOf(slot));
  }

  void OnClassDevice(const ClassDevice& device, bool comes) override {
    const std::string directory =
        (device.parent == nullptr ? "devices/virtual" : FunctionOf(*device.parent).path) + "/" +
        device.class_name;
    const std::string path = directory + "/" + device.name;
    if (!comes) {
      classes_->Remove(path, device.class_name);
      if (device.parent != nullptr) tree_.Remove(directory);
      return;
    }
    tree_.MakeFleeting(directory);
    classes_->Add(path, device.class_name);
    classes_->AddNumber(path, makedev(kDeviceMajor, device.minor), device.node);
    for (const auto& [name, attribute] : device.attributes)
      AddAttribute(path + "/" + name, attribute);
    if (device.parent != nullptr) tree_.Link(path + "/device", FunctionOf(*device.parent).path);
    for (const DeviceSlot* member : device.members)
      tree_.Link(fmt::format("{}/devices/{}", path, member->bdf().ToString()),
                 FunctionOf(*member).path);
  }

  void OnUnbinding(DeviceSlot& slot, const std::string& driver) override {
    const PciFunction& function = FunctionOf(slot);
    tree_.Remove(function.path + "/driver");
    tree_.Remove(DriverPath(driver) + "/" + function.bdf.ToString());
  }

  void OnLettingGo(DeviceSlot& slot, const std::string& driver) override {
    if (driver == kVfioPci) classes_->RemoveVfio(FunctionOf(slot).path);
  }

  void OnUnbound(DeviceSlot& slot, const std::string& driver) override {
    if (driver == kVfioPci) classes_->LeaveGroup(FunctionOf(slot).group());
  }

 private:
  const PciFunction& FunctionOf(const DeviceSlot& slot) const {
    return *std::ranges::lower_bound(layout_.functions, slot.bdf(), {}, &PciFunction::bdf);
  }

  void Add(const PciFunction& function) {
    const std::string driver = function.driver();
    AddDriver(driver);
    tree_.Link(function.path + "/driver", DriverPath(driver));
    tree_.Link(DriverPath(driver) + "/" + function.bdf.ToString(), function.path);
    if (function.BoundToVfio()) classes_->AddVfio(function.path, function.group());
  }

  // Virtual functions come and go with their physical one alone.
  void AddScanning(const PciFunction& function) {
    if (function.slot != nullptr && function.slot->physical_function() != nullptr) return;
    PciBusType& bus = machine_.pci_bus();
    tree_.Writable(function.path + "/rescan", nullptr, WhenAsked([&bus](long written) -> Reply {
                     bus.Rescan();
                     return written;
                   }));
    if (function.slot == nullptr) return;
    tree_.Writable(
        function.path + "/remove", nullptr, WhenAsked([&bus, slot = function.slot](long written) {
          return WriteThatWaits(written, [&](auto done) { bus.Remove(*slot, std::move(done)); });
        }));
  }

  void AddDriver(const std::string& name) {
    if (!known_.insert(name).second) return;
    PciBusType& bus = machine_.pci_bus();
    const std::string path = DriverPath(name) + "/";
    tree_.MakeDirectory(DriverPath(name));
    if (!bus.IsRegistered(name)) return;
    const bool is_early = name == kEarlyVfio && machine_.kernel().has_early_api();
    if (name != kVfioPci && !is_early) AddModule(tree_, ModuleOf(name), 0);
    const auto add = [&](const char* file, auto act) {
      tree_.Writable(path + file, nullptr, Acting([&bus, name, act](std::string_view text) {
                       return (bus.*act)(name, text);
                     }));
    };
    add("bind", &PciBusType::Bind);
    add("new_id", &PciBusType::NewId);
    add("remove_id", &PciBusType::RemoveId);
    tree_.Writable(path + "unbind", nullptr, Unbinding(bus, name));
  }

  void AddAttribute(const std::string& path, const ClassAttribute& attribute) {
    if (!attribute.store) return tree_.Text(path, attribute.show);
    tree_.Writable(path, attribute.show, [store = attribute.store](std::string_view text) {
      return WriteThatWaits(static_cast<long>(text.size()),
                            [&](auto done) { store(text, std::move(done)); });
    });
  }

  Tree tree_;
  Machine& machine_;
  Layout layout_;
  CpuSet cpus_;
  std::shared_ptr<Classes> classes_;
  std::set<std::string> known_;
};

}  // namespace

void AddDrivers(Tree& tree, Machine& machine, const Layout& layout, const CpuSet& cpus,
                std::shared_ptr<Classes> classes) {
  machine.pci_bus().AddListener(
      std::make_unique<Drivers>(tree, machine, layout, cpus, std::move(classes)));
}

}  // namespace vfiolab::sysfs
