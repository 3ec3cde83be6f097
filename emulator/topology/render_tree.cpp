#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/check.hpp"
#include "topology/show.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

// Not all parameters are sizes, but those from a page on usually are.
std::string ParamText(u64 value) {
  const std::string size = FormatSize(value);
  const std::string number = std::to_string(value);
  return value < kPageSize || size == number ? number : fmt::format("{} ({})", number, size);
}

class Tree {
 public:
  Tree(const TopologySpec& spec, const DescribeDevice& describe,
       const DescribePlatform& describe_platform)
      : describe_(describe), describe_platform_(describe_platform) {
    for (const PlatformSpec& device : spec.platform) platform_.emplace(device.name, &device);
    for (const DeviceSpec& device : spec.devices) devices_.emplace(device.bdf, &device);
    for (const BridgeSpec& bridge : spec.bridges) {
      bridges_.emplace(bridge.bdf, &bridge);
      leads_to_.emplace(std::pair(bridge.bdf.segment, bridge.secondary_bus), bridge.bdf);
    }
  }

  // A heading and, below it, the members.
  void AddSection(const std::string& heading, const std::vector<Bdf>& members,
                  const std::vector<std::string>& platform_members = {}) {
    members_ = {members.begin(), members.end()};
    below_.clear();
    std::vector<Bdf> tops;
    for (const Bdf& member : members_) {
      const auto bridge = MemberAbove(member);
      (bridge ? below_[*bridge] : tops).push_back(member);
    }
    text_ += '\n' + heading + '\n';
    AddMembers(tops, "", !platform_members.empty());
    for (const std::string& name : platform_members)
      AddPlatform(*platform_.at(name), name == platform_members.back());
  }

  std::string TakeText() { return std::move(text_); }

 private:
  // The bridge that `bdf` sits right behind.
  std::optional<Bdf> Above(Bdf bdf) const {
    const auto it = leads_to_.find({bdf.segment, bdf.bus});
    if (it == leads_to_.end()) return std::nullopt;
    return it->second;
  }

  // The nearest bridge above that is in the same section.
  std::optional<Bdf> MemberAbove(Bdf bdf) const {
    auto bridge = Above(bdf);
    while (bridge && !members_.contains(*bridge)) bridge = Above(*bridge);
    return bridge;
  }

  // `more`: others follow in the section.
  void AddMembers(const std::vector<Bdf>& members, const std::string& indent, bool more = false) {
    for (const Bdf& member : members) {
      const bool is_last = member == members.back() && !more;
      text_ += indent + (is_last ? "└─ " : "├─ ") + Title(member) + '\n';
      const std::string deeper = indent + (is_last ? "   " : "│  ");
      const auto below = below_.find(member);
      AddDetails(member, deeper);
      if (below != below_.end()) AddMembers(below->second, deeper);
    }
  }

  std::string Title(Bdf bdf) const {
    const auto above = Above(bdf);
    const bool is_shown_below = above && members_.contains(*above);
    const std::string behind =
        above && !is_shown_below ? fmt::format(", behind {}", above->ToString()) : "";
    if (const auto it = bridges_.find(bdf); it != bridges_.end()) {
      const BridgeSpec& bridge = *it->second;
      const std::string buses =
          bridge.secondary_bus == bridge.subordinate_bus
              ? fmt::format("bus {:02x}", bridge.secondary_bus)
              : fmt::format("buses {:02x}-{:02x}", bridge.secondary_bus, bridge.subordinate_bus);
      return fmt::format("{}  bridge to {}{}", bdf.ToString(), buses, behind);
    }
    const auto it = devices_.find(bdf);
    CHECK_OURS(it != devices_.end());  // Load() refuses members that are nothing
    const DeviceSpec& device = *it->second;
    return fmt::format("{}  {}, {}{}", bdf.ToString(), device.model, DriverText(device.driver),
                       behind);
  }

  static std::string DriverText(const std::string& driver) {
    return driver.empty() ? "no driver" : "driver " + driver;
  }

  void AddPlatform(const PlatformSpec& device, bool is_last) {
    text_ += fmt::format("{} {}  {}, {}\n", is_last ? "└─" : "├─", device.name, device.model,
                         DriverText(device.driver));
    const std::string indent = is_last ? "   " : "│  ";
    AddParams(device.params, indent);
    if (!describe_platform_) return;
    for (const std::string& line : describe_platform_(device))
      text_ += fmt::format("{}  {}\n", indent, line);
  }

  void AddParams(const std::map<std::string, u64>& params, const std::string& indent) {
    for (const auto& [name, value] : params)
      text_ += fmt::format("{}  {} = {}\n", indent, name, ParamText(value));
  }

  void AddDetails(Bdf bdf, const std::string& indent) {
    const auto it = devices_.find(bdf);
    if (it == devices_.end()) return;
    for (const auto& [name, dump] : it->second->dumps)
      text_ += fmt::format("{}  {} = {}\n", indent, name, Quote(dump.file));
    AddParams(it->second->params, indent);
    if (!describe_) return;
    for (const std::string& line : describe_(*it->second))
      text_ += fmt::format("{}  {}\n", indent, line);
  }

  const DescribeDevice& describe_;
  const DescribePlatform& describe_platform_;
  std::map<std::string, const PlatformSpec*> platform_;
  std::map<Bdf, const DeviceSpec*> devices_;
  std::map<Bdf, const BridgeSpec*> bridges_;
  std::map<std::pair<u16, u8>, Bdf> leads_to_;  // segment and bus to the bridge

  // Of the section being added.
  std::set<Bdf> members_;
  std::map<Bdf, std::vector<Bdf>> below_;  // bridge to the members that hang below it
  std::string text_;
};

std::string RenderIommu(const Iommu& iommu) {
  std::string sizes;
  for (unsigned bit = 0; bit < 64; ++bit)
    if ((iommu.page_sizes >> bit & 1) != 0) sizes += ' ' + FormatSize(u64{1} << bit);
  std::string text = "iommu\n";
  text += fmt::format("   addresses   {} bits, pages of{}\n", iommu.address_width, sizes);
  text += fmt::format("   mappings    at most {}\n", iommu.mapping_limit);
  text += fmt::format("   caches      {}\n", iommu.coherent ? "coherent" : "not coherent");
  text +=
      fmt::format("   interrupts  {}\n", iommu.interrupt_isolation ? "isolated" : "not isolated");
  for (const ReservedRegion& entry : iommu.reserved)
    text += fmt::format("   reserved    {:#x}-{:#x} ({})\n", entry.range.first, entry.range.last,
                        KindName(entry.kind));
  return text;
}

std::vector<Bdf> Ungrouped(const TopologySpec& spec) {
  std::set<Bdf> ungrouped;
  for (const BridgeSpec& bridge : spec.bridges) ungrouped.insert(bridge.bdf);
  for (const DeviceSpec& device : spec.devices) ungrouped.insert(device.bdf);
  for (const GroupSpec& group : spec.groups)
    for (const Bdf& member : group.members) ungrouped.erase(member);
  return {ungrouped.begin(), ungrouped.end()};
}

}  // namespace

std::string RenderTree(const TopologySpec& spec, const DescribeDevice& describe,
                       const DescribePlatform& describe_platform) {
  std::string text = spec.name;
  if (!spec.description.empty()) text += ": " + spec.description;
  text += "\n\n" + RenderIommu(spec.iommu);
  if (spec.kernel.early_api)
    text += fmt::format("\ninterface {}\n   devices with the driver vfio\n",
                        spec.kernel.early_api->name);
  Tree tree(spec, describe, describe_platform);
  for (const GroupSpec& group : spec.groups)
    tree.AddSection(fmt::format("group {}", group.id), group.members, group.platform_members);
  if (const auto ungrouped = Ungrouped(spec); !ungrouped.empty())
    tree.AddSection("in no group", ungrouped);
  return text + tree.TakeText();
}

}  // namespace vfiolab::topology
