// The commands that only look at a topology: check, show, models.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "fake_devices/models.hpp"
#include "launcher/commands.hpp"
#include "launcher/load.hpp"
#include "plugins/load_plugin.hpp"
#include "topology/build.hpp"
#include "topology/compare_groups.hpp"
#include "topology/load.hpp"
#include "topology/show.hpp"
#include "transport/host_environment.hpp"

namespace vfiolab::launcher {
namespace {

std::string SizeText(u64 size) {
  for (const auto& [unit, name] : {std::pair{1_GiB, "G"}, {1_MiB, "M"}, {1_KiB, "K"}})
    if (size >= unit) return fmt::format("{}{}", size / unit, name);
  return fmt::format("{}", size);
}

std::string_view MappingText(BarMapping mapping) {
  switch (mapping) {
    case BarMapping::kNone:
      return "none";
    case BarMapping::kMemory:
      return "memory";
    case BarMapping::kPoll:
      return "poll";
    case BarMapping::kTrap:
      return "trap";
  }
  return "";
}

// A machine that nobody opens.
struct Inspection {
  HostEnvironment environment;
  Trace trace;
  Machine machine;
  Result<Success, topology::ConfigError> built;

  explicit Inspection(const topology::TopologySpec& spec)
      : machine(environment, trace, spec.iommu, spec.kernel),
        built(topology::Build(spec, fake_devices::Models(), machine)) {}

  template <class F>
  void ForEachBar(const topology::DeviceSpec& device, F visit) {
    DeviceSlot& slot = *machine.device(device.bdf);
    for (unsigned i = 0; i < slot.bars().size(); ++i)
      if (slot.bars()[i]) visit(i, *slot.bars()[i], slot.device().bar(i)->spec.mapping);
  }
};

std::string_view TriggerText(IrqTrigger trigger) {
  return trigger == IrqTrigger::kLevel ? "level" : "edge";
}

std::vector<std::string> DescribePlatformDevice(const PlatformDevice& device) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < device.regions().size(); ++i) {
    const RegionSpec& spec = device.regions()[i].spec;
    lines.push_back(fmt::format("region {} {:>5}, mmap: {}", i, SizeText(spec.size),
                                MappingText(spec.mapping)));
  }
  for (std::size_t i = 0; i < device.identity().irqs.size(); ++i)
    lines.push_back(fmt::format("interrupt {} {}", i, TriggerText(device.identity().irqs[i])));
  return lines;
}

nlohmann::json PlatformFacts(const PlatformDevice& device) {
  nlohmann::json regions = nlohmann::json::array(), interrupts = nlohmann::json::array();
  for (const auto& region : device.regions())
    regions.push_back({{"size", region.spec.size}, {"mapping", MappingText(region.spec.mapping)}});
  for (const IrqTrigger trigger : device.identity().irqs)
    interrupts.push_back(TriggerText(trigger));
  return {{"regions", regions}, {"interrupts", interrupts}};
}

void ShowJson(const topology::TopologySpec& spec, Inspection& inspection) {
  const auto facts = [&](const topology::DeviceSpec& device) {
    nlohmann::json bars = nlohmann::json::array();
    inspection.ForEachBar(device, [&](unsigned i, const BarLayout& bar, BarMapping mapping) {
      bars.push_back({{"bar", i},
                      {"address", bar.address},
                      {"size", bar.size},
                      {"space", bar.io     ? "io"
                                : bar.wide ? "memory64"
                                           : "memory32"},
                      {"prefetchable", bar.prefetchable},
                      {"mapping", MappingText(mapping)}});
    });
    return nlohmann::json{{"bars", bars}};
  };
  const auto platform_facts = [&](const topology::PlatformSpec& device) {
    return PlatformFacts(inspection.machine.platform_device(device.name)->device());
  };
  fmt::print("{}\n", topology::ToJson(spec, facts, platform_facts).dump(2));
}

void ShowTree(const topology::TopologySpec& spec, Inspection& inspection) {
  const auto describe = [&](const topology::DeviceSpec& device) {
    std::vector<std::string> lines;
    inspection.ForEachBar(device, [&](unsigned i, const BarLayout& bar, BarMapping mapping) {
      lines.push_back(fmt::format("BAR{} {:>5} {} at {:#x}, mmap: {}", i, SizeText(bar.size),
                                  bar.io     ? "I/O"
                                  : bar.wide ? "memory, 64 bits"
                                             : "memory",
                                  bar.address, MappingText(mapping)));
    });
    return lines;
  };
  const auto describe_platform = [&](const topology::PlatformSpec& device) {
    return DescribePlatformDevice(inspection.machine.platform_device(device.name)->device());
  };
  fmt::print("{}", topology::RenderTree(spec, describe, describe_platform));
}

}  // namespace

int Complain(const Error& error, int status) {
  fmt::print(stderr, "vfiolab: {}\n", error.reason);
  return status;
}

std::optional<topology::TopologySpec> LoadOrComplain(const std::string& path) {
  auto spec = topology::LoadFile(path, fake_devices::Models(), plugins::LoadPlugin);
  if (spec) return *std::move(spec);
  fmt::print(stderr, "{}\n", topology::ToString(spec.error()));
  return std::nullopt;
}

int Check(const std::string& topology) {
  const auto spec = LoadOrComplain(topology);
  if (!spec) return kBadTopology;
  const Inspection inspection(*spec);
  if (!inspection.built) {
    fmt::print(stderr, "{}\n", inspection.built.error().ToString());
    return kBadTopology;
  }
  const auto groups = topology::GroupsOf(inspection.machine);
  fmt::print("{}: {} devices, {} bridges, {} groups\n", topology,
             spec->devices.size() + spec->platform.size(), spec->bridges.size(), groups.size());
  topology::TopologySpec unstated = *spec;
  unstated.derives_groups = true;
  const Inspection derived(unstated);
  for (const std::string& line :
       topology::CompareGroups(groups, topology::GroupsOf(derived.machine)))
    fmt::print("note: {}\n", line);
  return 0;
}

int Show(const std::string& topology, bool json) {
  auto spec = LoadOrComplain(topology);
  if (!spec) return kBadTopology;
  Inspection inspection(*spec);
  if (!inspection.built) {
    fmt::print(stderr, "{}\n", inspection.built.error().ToString());
    return kBadTopology;
  }
  spec->groups = topology::GroupsOf(inspection.machine);
  spec->derives_groups = false;
  if (json)
    ShowJson(*spec, inspection);
  else
    ShowTree(*spec, inspection);
  return 0;
}

int ListModels() {
  for (const Model& model : fake_devices::Models()) {
    fmt::print("{:<12} {}{}\n", model.name, model.is_platform() ? "a platform device: " : "",
               model.summary);
    for (const DumpSpec& dump : model.dumps)
      fmt::print("  {:<14} {} (a file{})\n", dump.name, dump.meaning,
                 dump.required ? "" : ", may be left out");
    for (const ParamSpec& param : model.params)
      fmt::print("  {:<14} {} ({}..{}, default {})\n", param.name, param.meaning, param.min,
                 param.max, param.fallback);
  }
  return 0;
}

}  // namespace vfiolab::launcher
