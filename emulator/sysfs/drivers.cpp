// bus/pci/drivers, and what in /sys depends on which driver has which function.
#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <set>

#include "sysfs/parts.hpp"
#include "sysfs/waiting.hpp"

namespace vfiolab::sysfs {
namespace {

// From the kernel's second range of dynamic majors, which hosts hardly ever reach: nobody who looks
// these numbers up in /dev/char shall find a device of the host.
constexpr unsigned kGroupMajor = 385, kDeviceMajor = 386;

// A driver of the host comes with a module of its name.
std::string ModuleOf(std::string driver) {
  std::ranges::replace(driver, '-', '_');
  return "module/" + driver;
}

// Numbers that are given out and come back (lib/idr.c): the lowest that is free.
class Ida {
 public:
  unsigned Take() {
    unsigned number = 0;
    while (taken_.contains(number)) ++number;
    taken_.insert(number);
    return number;
  }
  void Release(unsigned number) { taken_.erase(number); }

 private:
  std::set<unsigned> taken_;
};

class Drivers final : public DriverListener {
 public:
  Drivers(Tree tree, Machine& machine, Layout layout, CpuSet cpus, const Directory* nodes)
      : tree_(tree),
        machine_(machine),
        layout_(std::move(layout)),
        cpus_(std::move(cpus)),
        nodes_(nodes) {
    tree_.MakeDirectory("class/vfio");
    tree_.MakeDirectory("class/vfio-dev");
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
    if (function.group != nullptr && function.group->devices().size() == 1 &&
        function.group->bridges().empty())
      AddIommuGroup(tree_, machine_, *function.group);
    AddFunction(tree_, function, cpus_);
    AddAccessFiles(tree_, function);
    AddFunctionLinks(tree_, function);
    AddScanning(function);
  }

  void OnRemoved(DeviceSlot& slot) override {
    const PciFunction& function = FunctionOf(slot);
    RemoveFunctionLinks(tree_, function);
    tree_.Remove(function.path);
    if (function.group != nullptr && function.group->devices().empty() &&
        function.group->bridges().empty())
      tree_.Remove(GroupPath(*function.group));
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
      RemoveClassDevice(path, device.class_name);
      if (device.parent != nullptr) tree_.Remove(directory);
      return;
    }
    tree_.MakeFleeting(directory);
    AddClassDevice(path, device.class_name);
    const dev_t number = makedev(kDeviceMajor, device.minor);
    AddNumber(
        path, [=, this, node = device.node] { return NodeNumber(node, number); }, device.node);
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
    if (driver == kVfioPci) RemoveVfioDevice(FunctionOf(slot));
  }

  void OnUnbound(DeviceSlot& slot, const std::string& driver) override {
    if (driver == kVfioPci) LeaveVfioGroup(FunctionOf(slot));
  }

 private:
  const PciFunction& FunctionOf(const DeviceSlot& slot) const {
    return *std::ranges::find(layout_.functions, slot.bdf(), &PciFunction::bdf);
  }

  void Add(const PciFunction& function) {
    const std::string driver = function.driver();
    AddDriver(driver);
    tree_.Link(function.path + "/driver", DriverPath(driver));
    tree_.Link(DriverPath(driver) + "/" + function.bdf.ToString(), function.path);
    if (function.BoundToVfio()) AddVfio(function);
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
      tree_.Writable(path + file, nullptr, [&bus, name, act](std::string_view text) -> Reply {
        const Result<> done = (bus.*act)(name, text);
        if (!done) return Failure{done.error()};
        return static_cast<long>(text.size());
      });
    };
    add("bind", &PciBusType::Bind);
    add("new_id", &PciBusType::NewId);
    add("remove_id", &PciBusType::RemoveId);
    tree_.Writable(path + "unbind", nullptr, [&bus, name](std::string_view text) -> Reply {
      Result<> begun;
      Reply reply = WriteThatWaits(static_cast<long>(text.size()), [&](auto done) {
        begun = bus.Unbind(name, text, std::move(done));
      });
      if (!begun) return Failure{begun.error()};
      return reply;
    });
  }

  // Makes `path` a device of class `class_name`.
  void AddClassDevice(const std::string& path, std::string_view class_name) {
    tree_.MakeFleeting(path);
    const std::string class_path = fmt::format("class/{}", class_name);
    tree_.Link(path + "/subsystem", class_path);
    tree_.Link(class_path + path.substr(path.rfind('/')), path);
  }

  void AddAttribute(const std::string& path, const ClassAttribute& attribute) {
    if (!attribute.store) return tree_.Text(path, attribute.show);
    tree_.Writable(path, attribute.show, [store = attribute.store](std::string_view text) {
      return WriteThatWaits(static_cast<long>(text.size()),
                            [&](auto done) { store(text, std::move(done)); });
    });
  }

  void RemoveClassDevice(const std::string& path, std::string_view class_name) {
    tree_.Remove(fmt::format("class/{}{}", class_name, path.substr(path.rfind('/'))));
    tree_.Remove(path);
  }

  // `number` of the device whose node is /dev/`node`.
  void AddNumber(const std::string& path, std::function<dev_t()> number, const std::string& node) {
    tree_.Text(path + "/dev",
               [number] { return fmt::format("{}:{}\n", major(number()), minor(number())); });
    tree_.Text(path + "/uevent", [number, node] {
      return fmt::format("MAJOR={}\nMINOR={}\nDEVNAME={}\n", major(number()), minor(number()),
                         node);
    });
  }

  static std::string VfioGroupPath(unsigned id) {
    return fmt::format("devices/virtual/vfio/{}", id);
  }

  void AddVfio(const PciFunction& function) {
    if (function.group != nullptr && members_[function.group->id()]++ == 0)
      AddGroup(function.group->id());
    const unsigned number = numbers_[function.bdf] = devices_.Take();
    tree_.MakeFleeting(function.path + "/vfio-dev");
    const std::string path = fmt::format("{}/vfio-dev/vfio{}", function.path, number);
    // As on a kernel without device nodes for VFIO devices: no `dev`, and nothing to say.
    tree_.Text(path + "/uevent", [] { return std::string(); });
    AddClassDevice(path, "vfio-dev");
    tree_.Link(path + "/device", function.path);
  }

  void RemoveVfioDevice(const PciFunction& function) {
    const unsigned number = numbers_.at(function.bdf);
    RemoveClassDevice(fmt::format("{}/vfio-dev/vfio{}", function.path, number), "vfio-dev");
    tree_.Remove(function.path + "/vfio-dev");
    devices_.Release(number);
    numbers_.erase(function.bdf);
  }

  void LeaveVfioGroup(const PciFunction& function) {
    if (function.group == nullptr || --members_[function.group->id()] > 0) return;
    RemoveClassDevice(VfioGroupPath(function.group->id()), "vfio");
    minors_.Release(group_minors_.at(function.group->id()));
  }

  // That of /dev/`path`, where it has one, else `own`.
  dev_t NodeNumber(std::string_view path, dev_t own) const {
    constexpr std::string_view kOfNodes = "vfio/";
    if (nodes_ == nullptr || !path.starts_with(kOfNodes)) return own;
    const auto node = nodes_->Lookup(path.substr(kOfNodes.size()));
    const auto* device = dynamic_cast<const DeviceNode*>(node.get());
    return device == nullptr ? own : device->number().value_or(own);
  }

  void AddGroup(unsigned id) {
    const std::string path = VfioGroupPath(id);
    group_minors_[id] = minors_.Take();
    const std::string node = fmt::format("vfio/{}", id);
    const dev_t own = makedev(kGroupMajor, group_minors_[id]);
    AddNumber(
        path, [=, this] { return NodeNumber(node, own); }, node);
    AddClassDevice(path, "vfio");
  }

  Tree tree_;
  Machine& machine_;
  Layout layout_;
  CpuSet cpus_;
  const Directory* nodes_;
  std::set<std::string> known_;
  std::map<unsigned, unsigned> members_;  // how many VFIO has of each group
  std::map<unsigned, unsigned> group_minors_;
  std::map<Bdf, unsigned> numbers_;
  Ida minors_, devices_;
};

}  // namespace

void AddDrivers(Tree& tree, Machine& machine, const Layout& layout, const CpuSet& cpus,
                const Directory* nodes) {
  machine.pci_bus().AddListener(std::make_unique<Drivers>(tree, machine, layout, cpus, nodes));
}

}  // namespace vfiolab::sysfs
