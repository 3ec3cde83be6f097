#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "topology/policies.hpp"
#include "topology/show.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

using nlohmann::json;

json IommuToJson(const Iommu& iommu) {
  json page_sizes = json::array();
  for (unsigned bit = 0; bit < 64; ++bit)
    if ((iommu.page_sizes >> bit & 1) != 0) page_sizes.push_back(FormatSize(u64{1} << bit));
  json reserved = json::array();
  for (const ReservedRegion& entry : iommu.reserved)
    reserved.push_back({{"first", fmt::format("{:#x}", entry.range.first)},
                        {"last", fmt::format("{:#x}", entry.range.last)},
                        {"kind", KindName(entry.kind)}});
  return {{"address_width", iommu.address_width},
          {"page_sizes", page_sizes},
          {"reserved", reserved},
          {"mapping_limit", iommu.mapping_limit},
          {"coherent", iommu.coherent},
          {"interrupt_isolation", iommu.interrupt_isolation},
          {"strict", iommu.strict}};
}

json DeviceToJson(const DeviceSpec& device) {
  json params = json::object();
  for (const auto& [name, value] : device.params) params[name] = value;
  for (const auto& [name, dump] : device.dumps) params[name] = dump.file;
  json told = {{"bdf", device.bdf.ToString()},
               {"model", device.model},
               {"driver", device.driver.empty() ? json() : json(device.driver)},
               {"params", params}};
  if (device.rom) told["rom"] = device.rom->file;
  if (device.physical_function) told["physical_function"] = device.physical_function->ToString();
  if (!device.reset) told["reset"] = false;
  return told;
}

json PlatformToJson(const PlatformSpec& device) {
  json told = {{"name", device.name},
               {"model", device.model},
               {"driver", device.driver.empty() ? json() : json(device.driver)},
               {"params", device.params}};
  if (!device.reset) told["reset"] = false;
  return told;
}

json GroupToJson(const GroupSpec& group) {
  json members = json::array();
  for (const Bdf& member : group.members) members.push_back(member.ToString());
  for (const std::string& member : group.platform_members) members.push_back(member);
  return {{"id", group.id}, {"members", members}};
}

}  // namespace

json ToJson(const TopologySpec& spec) { return ToJson(spec, {}); }

json ToJson(const TopologySpec& spec, const DeviceFacts& facts,
            const PlatformFacts& platform_facts) {
  json bridges = json::array();
  for (const BridgeSpec& bridge : spec.bridges) {
    bridges.push_back({{"bdf", bridge.bdf.ToString()},
                       {"secondary_bus", bridge.secondary_bus},
                       {"subordinate_bus", bridge.subordinate_bus}});
    if (!bridge.reports_link) bridges.back()["reports_link"] = false;
  }
  json devices = json::array();
  for (const DeviceSpec& device : spec.devices) {
    devices.push_back(DeviceToJson(device));
    if (facts) devices.back()["facts"] = facts(device);
  }
  json groups = json::array();
  for (const GroupSpec& group : spec.groups) groups.push_back(GroupToJson(group));
  json told = {
      {"name", spec.name},
      {"description", spec.description},
      {"bridges", bridges},
      {"iommu", IommuToJson(spec.iommu)},
      {"kernel",
       {{"version", spec.kernel.version.name}, {"line_interrupts", spec.kernel.line_interrupts}}},
      {"devices", devices},
      {"groups", groups}};
  for (const PlatformSpec& device : spec.platform) {
    told["platform"].push_back(PlatformToJson(device));
    if (platform_facts) told["platform"].back()["facts"] = platform_facts(device);
  }
  if (!spec.kernel.platform_reset_required) told["kernel"]["reset_required"] = false;
  if (spec.kernel.early_api) told["api"] = spec.kernel.early_api->name;
  if (spec.kernel.early_api_name() == kAugustApi) told["policies"] = ToJson(spec.kernel.policies);
  return told;
}

}  // namespace vfiolab::topology
