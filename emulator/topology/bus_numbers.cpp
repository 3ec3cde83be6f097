#include "topology/bus_numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "topology/edit_distance.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

BridgeKind UsualKind(const BridgeDraft* above) {
  if (above == nullptr) return BridgeKind::kRootPort;
  switch (*above->kind) {
    case BridgeKind::kRootPort:
    case BridgeKind::kDownstreamPort:
    case BridgeKind::kPciToPcie:
      return BridgeKind::kUpstreamPort;
    case BridgeKind::kUpstreamPort:
      return BridgeKind::kDownstreamPort;
    case BridgeKind::kPcieToPci:
    case BridgeKind::kPciToPci:
      return BridgeKind::kPciToPci;
  }
  return BridgeKind::kRootPort;
}

class BusNumbers {
 public:
  BusNumbers(Draft& draft, ErrorList& errors) : draft_(draft), errors_(errors) {}

  void Assign() {
    CheckNames();
    for (const BridgeDraft& bridge : draft_.bridges)
      if (bridge.secondary_bus && bridge.bdf)
        claimed_[SegmentOf(bridge)].insert(*bridge.secondary_bus);
    // A bus that the ones before have not led to is a root bus.
    std::vector<std::pair<u16, u8>> buses;
    for (const BridgeDraft& bridge : draft_.bridges)
      if (bridge.bdf && bridge.behind.empty())
        buses.emplace_back(bridge.bdf->segment, bridge.bdf->bus);
    std::ranges::sort(buses);
    for (const auto& [segment, bus] : buses)
      if (!scanned_.contains({segment, bus}) && !IsBehindGiven(segment, bus))
        Scan(segment, bus, nullptr);
    // The numbers of these are in no order; what is wrong with them is said elsewhere.
    for (const auto& [segment, bus] : buses)
      if (!scanned_.contains({segment, bus})) Scan(segment, bus, nullptr);
    ReportUnreached();
  }

 private:
  static std::string Place(std::size_t index, std::string_view key) {
    return fmt::format("/bridges/{}/{}", index, key);
  }
  std::size_t IndexOf(const BridgeDraft& bridge) const {
    return static_cast<std::size_t>(&bridge - draft_.bridges.data());
  }

  // Of a bridge whose address is relative: that of the one at the root.
  u16 SegmentOf(const BridgeDraft& bridge) const {
    const BridgeDraft* above = &bridge;
    for (std::size_t hops = 0; hops < draft_.bridges.size() && !above->behind.empty(); ++hops) {
      const auto next = std::ranges::find(draft_.bridges, above->behind, &BridgeDraft::name);
      if (next == draft_.bridges.end()) break;
      above = &*next;
    }
    return above->bdf ? above->bdf->segment : u16{0};
  }

  bool IsBehindGiven(u16 segment, u8 bus) const {
    const auto claimed = claimed_.find(segment);
    return claimed != claimed_.end() && claimed->second.contains(bus);
  }

  void CheckNames() {
    std::map<std::string, std::size_t> named;
    for (const BridgeDraft& bridge : draft_.bridges) {
      if (bridge.name.empty()) continue;
      draft_.buses[bridge.name];
      const auto [first, is_new] = named.emplace(bridge.name, IndexOf(bridge));
      if (!is_new)
        errors_.Add(
            Place(IndexOf(bridge), "name"),
            fmt::format("{} is already at {}", Quote(bridge.name), Place(first->second, "name")),
            "give each bridge its own name");
    }
  }

  std::vector<BridgeDraft*> On(u16 segment, u8 bus, const BridgeDraft* above) {
    std::vector<BridgeDraft*> bridges;
    for (BridgeDraft& bridge : draft_.bridges) {
      if (!bridge.bdf) continue;
      const bool is_named = above != nullptr && !above->name.empty();
      if (is_named && bridge.behind == above->name) {
        bridge.bdf->segment = segment;
        bridge.bdf->bus = bus;
        bridges.push_back(&bridge);
      } else if (bridge.behind.empty() && bridge.bdf->segment == segment &&
                 bridge.bdf->bus == bus) {
        bridges.push_back(&bridge);
      }
    }
    std::ranges::stable_sort(bridges, {}, [](const BridgeDraft* bridge) { return *bridge->bdf; });
    return bridges;
  }

  // Gives the bridges on a bus the buses behind them; the highest number used.
  unsigned Scan(u16 segment, u8 bus, const BridgeDraft* above) {
    scanned_.insert({segment, bus});
    unsigned highest = bus;
    for (BridgeDraft* bridge : On(segment, bus, above)) {
      if (!reached_.insert(bridge).second) continue;
      if (!bridge->kind) bridge->kind = UsualKind(above);
      if (!bridge->secondary_bus) bridge->secondary_bus = Next(segment, highest, *bridge);
      if (!bridge->secondary_bus) continue;
      if (!bridge->name.empty()) draft_.buses[bridge->name] = {segment, *bridge->secondary_bus};
      unsigned behind = *bridge->secondary_bus;
      if (!scanned_.contains({segment, *bridge->secondary_bus}))
        behind = std::max(behind, Scan(segment, *bridge->secondary_bus, bridge));
      if (!bridge->subordinate_bus) bridge->subordinate_bus = static_cast<u8>(behind);
      highest = std::max({highest, behind, unsigned{*bridge->subordinate_bus}});
    }
    return highest;
  }

  std::optional<u8> Next(u16 segment, unsigned highest, const BridgeDraft& bridge) {
    do ++highest;
    while (claimed_[segment].contains(highest) ||
           scanned_.contains({segment, static_cast<u8>(highest)}));
    if (highest <= 0xff) return static_cast<u8>(highest);
    errors_.Add(Place(IndexOf(bridge), "bdf"), "there is no number left for the bus behind it",
                "use fewer bridges, or another segment");
    return std::nullopt;
  }

  void ReportUnreached() {
    std::vector<std::string> names;
    for (const auto& [name, bus] : draft_.buses) names.push_back(name);
    for (BridgeDraft& bridge : draft_.bridges) {
      if (!bridge.bdf || reached_.contains(&bridge)) continue;
      const std::string place = Place(IndexOf(bridge), "bdf");
      if (!draft_.buses.contains(bridge.behind))
        errors_.Add(place, fmt::format("no bridge is named {}", Quote(bridge.behind)),
                    [&] { return DidYouMean(bridge.behind, names, OneOf(names, "name one")); });
      else
        errors_.Add(place, fmt::format("no root bus leads to {}", Quote(bridge.behind)),
                    "put one of the bridges that lead to it on a root bus");
      bridge.bdf.reset();
      draft_.addresses_known = false;
    }
  }

  Draft& draft_;
  ErrorList& errors_;
  std::map<u16, std::set<unsigned>> claimed_;  // by segment: secondary buses that the file gives
  std::set<std::pair<u16, u8>> scanned_;
  std::set<const BridgeDraft*> reached_;
};

}  // namespace

void AssignBuses(Draft& draft, ErrorList& errors) { BusNumbers(draft, errors).Assign(); }

}  // namespace vfiolab::topology
