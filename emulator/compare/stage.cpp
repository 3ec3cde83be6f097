#include "compare/stage.hpp"

#include <algorithm>

#include "fake_devices/models.hpp"
#include "machine/heap_memory.hpp"
#include "topology/build.hpp"

namespace vfiolab::compare {
namespace {

// Each device is alone on a bus, behind a port, so that it can be reset.
topology::TopologySpec Topology(const Scenario& scenario, const Kernel& kernel) {
  topology::TopologySpec spec;
  spec.kernel = kernel;
  u8 bus = 0;
  for (const ScenarioDevice& device : scenario.devices) {
    ++bus;
    const Bdf port{0, 0, static_cast<u8>(bus / 8), static_cast<u8>(bus % 8)};
    spec.bridges.push_back({.bdf = port, .secondary_bus = bus, .subordinate_bus = bus});
    topology::DeviceSpec& added = spec.devices.emplace_back();
    added.bdf = Bdf{0, bus, 0, 0};
    added.model = "scratch";
    const std::string_view vfio =
        kernel.early_api ? std::string_view(kEarlyVfio) : std::string_view(kVfioPci);
    added.driver = device.driver == Driver::kVfio   ? std::string(vfio)
                   : device.driver == Driver::kHost ? "host"
                                                    : "";
    if (spec.groups.empty() || spec.groups.back().id != device.group)
      spec.groups.push_back({device.group, {}});
    spec.groups.back().members.push_back(added.bdf);
  }
  return spec;
}

}  // namespace

class Stage::NoEnvironment final : public Environment {
 public:
  std::unique_ptr<DeviceMemory> CreateDeviceMemory(const std::string&) override {
    return std::make_unique<HeapMemory>();
  }
  std::unique_ptr<EventfdWatch> WatchEventfd(const Eventfd&, std::function<void()>) override {
    return nullptr;
  }
  std::unique_ptr<MemoryWatch> WatchMemory(const DeviceMemory&, std::function<bool()>) override {
    return nullptr;
  }
};

Stage::Stage(const Scenario& scenario, const Kernel& kernel)
    : environment_(std::make_unique<NoEnvironment>()),
      machine_(*environment_, trace_, Iommu{}, kernel),
      door_(machine_) {
  const topology::TopologySpec spec = Topology(scenario, kernel);
  CHECK_OURS(topology::Build(spec, fake_devices::Models(), machine_));
  for (std::size_t i = 0; i < spec.devices.size(); ++i)
    devices_.emplace(scenario.devices[i].name, spec.devices[i].bdf);
  interfaces_ = std::make_unique<Interfaces>(machine_);
  interfaces_->AddNodes(dev_vfio_, dev_);
}

Stage::~Stage() = default;

const Kernel& Stage::kernel() const { return machine_.kernel(); }

Process& Stage::process(unsigned number) {
  auto& process = processes_[number];
  if (process == nullptr) process = std::make_unique<Process>(static_cast<pid_t>(100 + number));
  return *process;
}

DeviceSlot& Stage::slot(const std::string& device) { return *machine_.device(devices_.at(device)); }

unsigned Stage::group(const std::string& device) { return slot(device).group().id(); }

std::string Stage::node(const std::string& device) {
  for (const auto& [name, class_device] : machine_.pci_bus().class_devices())
    if (class_device.parent == &slot(device)) return class_device.node;
  return "";
}

Result<long> Stage::Finish(Process& process, Reply reply) {
  CHECK_OURS(!reply.deferred());
  Completion& completion = reply.completion();
  if (!completion.value) return Failure{completion.value.error()};
  if (completion.opened) return process.Add(std::move(completion.opened));
  return *completion.value;
}

Result<int> Stage::Open(Process& process, const std::string& path) {
  constexpr std::string_view kGroups = "vfio/";
  ++calls_;
  const bool below = path.starts_with(kGroups);
  const auto node = std::dynamic_pointer_cast<FileNode>(
      below ? dev_vfio_.Lookup(path.substr(kGroups.size())) : dev_.Lookup(path));
  if (node == nullptr) return Fail(ENOENT, fmt::format("there is no /dev/{}", path));
  const long fd = TRY(Finish(process, door_.Open({}, process, *node, "/dev/" + path, O_RDWR)));
  return static_cast<int>(fd);
}

Result<long> Stage::Ioctl(Process& process, int fd, u32 command, u64 argument) {
  ++calls_;
  const auto file = process.file(fd);  // as a call holds its file
  return Finish(process, door_.Ioctl({}, process, *file, command, argument));
}

Result<long> Stage::IoctlWithName(Process& process, int fd, u32 command, const std::string& name) {
  TRY(process.Write(ClientAddress{Process::kArguments},
                    std::as_bytes(std::span{name.c_str(), name.size() + 1})));
  return Ioctl(process, fd, command, Process::kArguments);
}

void Stage::Close(Process& process, int fd) {
  ++calls_;
  process.Close(fd);
}

}  // namespace vfiolab::compare
