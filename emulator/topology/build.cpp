#include "topology/build.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "machine/group_rules.hpp"
#include "topology/placement.hpp"

namespace vfiolab::topology {
namespace {

const Model& ModelOf(const std::string& name, const TopologySpec& spec,
                     std::span<const Model> models) {
  const auto plugin = std::ranges::find(spec.plugins, name, &Model::name);
  if (plugin != spec.plugins.end()) return *plugin;
  const auto model = std::ranges::find(models, name, &Model::name);
  CHECK_OURS(model != models.end());
  return *model;
}

void AddBridge(const BridgeSpec& spec, Machine& machine) {
  Bridge& bridge = machine.AddBridge(spec.bdf, spec.secondary_bus, spec.subordinate_bus);
  bridge.kind = spec.kind;
  bridge.ids = spec.ids;
  bridge.acs = spec.acs;
  bridge.windows = spec.windows;
  bridge.reports_link = spec.reports_link;
}

void AddGroups(const TopologySpec& spec, Machine& machine) {
  machine.set_derives_groups(spec.derives_groups);
  if (spec.derives_groups) return AssignGroups(machine);
  for (const GroupSpec& spec_group : spec.groups) {
    IommuGroup& group = machine.AddGroup(spec_group.id);
    for (const Bdf& member : spec_group.members) {
      if (DeviceSlot* slot = machine.device(member)) {
        group.Add(*slot);
      } else {
        group.Add(machine.bridges().at(member));
      }
    }
    for (const std::string& name : spec_group.platform_members)
      group.Add(*machine.platform_device(name));
  }
}

}  // namespace

Result<Success, ConfigError> Build(const TopologySpec& spec, std::span<const Model> models,
                                   Machine& machine) {
  for (const BridgeSpec& bridge : spec.bridges) AddBridge(bridge, machine);
  for (const DeviceSpec& device : spec.devices) {
    const Model& model = ModelOf(device.model, spec, models);
    std::map<std::string, std::vector<std::byte>, std::less<>> dumps;
    for (const auto& [name, dump] : device.dumps) dumps.emplace(name, dump.bytes);
    machine.AddDevice(device.bdf, model, Params(model.params, device.params, std::move(dumps)),
                      device.driver);
    DeviceSlot& slot = *machine.device(device.bdf);
    if (!device.reset) slot.ChooseResets("");
    if (device.rom) slot.set_rom(device.rom->bytes);
    slot.set_acs(device.acs);
    slot.set_dma_aliases(device.dma_aliases);
    if (device.acs && (!slot.device().identity().express || !slot.device().image().empty()))
      return Failure{ConfigError{spec.name, "/devices",
                                 fmt::format("{}: access control is not the topology's to give: "
                                             "the model is conventional PCI, or has a dump",
                                             device.bdf.ToString()),
                                 "remove \"acs\""}};
  }
  for (const DeviceSpec& device : spec.devices)
    if (device.physical_function)
      machine.device(device.bdf)->set_physical_function(*machine.device(*device.physical_function));
  for (const PlatformSpec& device : spec.platform) {
    const Model& model = ModelOf(device.model, spec, models);
    machine
        .AddPlatformDevice(device.name, model, Params(model.params, device.params), device.driver)
        .set_has_reset(device.reset);
  }
  if (!Place(machine))
    return Failure{ConfigError{spec.name, "/devices",
                               "the BARs of all devices do not fit: there are 2 GiB for 32-bit "
                               "memory BARs and 60 KiB for I/O BARs, or as much as the windows "
                               "of bridges say",
                               "use fewer devices, or models with smaller BARs"}};
  AddGroups(spec, machine);
  return {};
}

std::vector<GroupSpec> GroupsOf(const Machine& machine) {
  std::vector<GroupSpec> groups;
  for (const auto& [id, group] : machine.groups()) {
    if (group.size() == 0) continue;
    GroupSpec& spec = groups.emplace_back();
    spec.id = id;
    spec.members = group.bridges();
    for (const DeviceSlot* slot : group.devices()) spec.members.push_back(slot->bdf());
    std::ranges::sort(spec.members);
    for (const PlatformSlot* slot : group.platform_devices())
      spec.platform_members.push_back(slot->name());
  }
  return groups;
}

}  // namespace vfiolab::topology
