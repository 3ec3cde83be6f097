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

json AcsToJson(const std::optional<AcsBits>& acs) {
  if (!acs) return false;
  json names = json::array();
  for (const auto& [bit, name] : kAcsNames)
    if (*acs & bit) names.push_back(name);
  return names;
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
  if (device.acs) told["acs"] = AcsToJson(device.acs);
  for (const Bdf alias : device.dma_aliases) told["dma_aliases"].push_back(alias.ToString());
  return told;
}

json WindowToJson(u64 first, u64 last) {
  return {{"first", fmt::format("{:#x}", first)}, {"last", fmt::format("{:#x}", last)}};
}

json BridgeToJson(const BridgeSpec& bridge) {
  json told = {{"bdf", bridge.bdf.ToString()},
               {"kind", NameOf(bridge.kind)},
               {"secondary_bus", bridge.secondary_bus},
               {"subordinate_bus", bridge.subordinate_bus},
               {"vendor_id", fmt::format("{:#06x}", bridge.ids.vendor)},
               {"device_id", fmt::format("{:#06x}", bridge.ids.device)},
               {"acs", AcsToJson(bridge.acs)}};
  const auto& [memory, prefetchable, io] = bridge.windows;
  if (memory) told["memory"] = WindowToJson(memory->first, memory->second);
  if (prefetchable) told["prefetchable"] = WindowToJson(prefetchable->first, prefetchable->second);
  if (io) told["io"] = WindowToJson(io->first, io->second);
  if (!bridge.reports_link) told["reports_link"] = false;
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
  for (const BridgeSpec& bridge : spec.bridges) bridges.push_back(BridgeToJson(bridge));
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
      {"devices", devices}};
  if (!spec.derives_groups) told["groups"] = groups;
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
