#include <fmt/format.h>

#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "topology/check.hpp"

namespace vfiolab::topology {
namespace {

std::string Pointer(std::string_view list, std::size_t index) {
  return fmt::format("/{}/{}", list, index);
}

// Every address the file uses and where, the first place of each.
using Addresses = std::map<Bdf, std::string>;

template <class T>
void AddAddresses(std::string_view list, const std::vector<T>& items, Addresses& addresses,
                  ErrorList& errors) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].bdf) continue;
    const auto [first, is_new] = addresses.emplace(*items[i].bdf, Pointer(list, i) + "/bdf");
    if (!is_new)
      errors.Add(Pointer(list, i) + "/bdf",
                 fmt::format("{} is already at {}", items[i].bdf->ToString(), first->second),
                 "give each function its own address");
  }
}

// A physical function says where its virtual ones are; nobody looks for them.
std::set<Bdf> VirtualFunctions(const Draft& draft) {
  std::set<Bdf> functions;
  for (const DeviceDraft& device : draft.devices)
    if (device.bdf && device.physical_function) functions.insert(*device.bdf);
  return functions;
}

// Software only looks for functions 1 to 7 of a device that has a function 0.
void CheckFunctions(const Addresses& addresses, const std::set<Bdf>& virtual_functions,
                    ErrorList& errors) {
  for (const auto& [bdf, place] : addresses) {
    if (virtual_functions.contains(bdf)) continue;
    Bdf first = bdf;
    first.function = 0;
    if (!addresses.contains(first))
      errors.Add(place, fmt::format("{} has no function 0 beside it", bdf.ToString()),
                 fmt::format("add {}, or move this one there", first.ToString()));
  }
}

// A bridge whose own numbers are in order.
struct Bridge {
  std::size_t index;  // in the file
  Bdf bdf;
  u8 secondary;
  u8 subordinate;

  std::string Place() const { return Pointer("bridges", index); }
  std::string Buses() const {
    return secondary == subordinate ? fmt::format("bus {:#04x}", secondary)
                                    : fmt::format("buses {:#04x}-{:#04x}", secondary, subordinate);
  }
  bool Claims(u8 bus) const { return secondary <= bus && bus <= subordinate; }
};

// The bridges of one segment, ordered by secondary bus: at most 255.
using Segment = std::map<u8, Bridge>;

std::map<u16, Segment> SortBridges(const Draft& draft, ErrorList& errors) {
  std::map<u16, Segment> segments;
  for (std::size_t i = 0; i < draft.bridges.size(); ++i) {
    const BridgeDraft& entry = draft.bridges[i];
    if (!entry.bdf || !entry.secondary_bus || !entry.subordinate_bus) continue;
    const Bridge bridge{i, *entry.bdf, *entry.secondary_bus, *entry.subordinate_bus};
    if (bridge.secondary <= bridge.bdf.bus) {
      errors.Add(bridge.Place() + "/secondary_bus",
                 fmt::format("bus {:#04x} is not above the bridge's own bus {:#04x}",
                             bridge.secondary, bridge.bdf.bus),
                 "give a higher bus");
    } else if (bridge.subordinate < bridge.secondary) {
      errors.Add(
          bridge.Place() + "/subordinate_bus",
          fmt::format("bus {:#04x} is below the secondary bus {:#04x}", bridge.subordinate,
                      bridge.secondary),
          "give the highest bus behind the bridge, or remove the key when there is only one");
    } else {
      const auto [first, is_new] = segments[bridge.bdf.segment].emplace(bridge.secondary, bridge);
      if (!is_new)
        errors.Add(bridge.Place() + "/secondary_bus",
                   fmt::format("bus {:#04x} is already behind {}", bridge.secondary,
                               first->second.Place()),
                   "give each bridge its own bus");
    }
  }
  return segments;
}

// The bridge nearest to `bus` that claims it, if any.
const Bridge* ClaimedBy(const Segment& segment, u8 bus) {
  const Bridge* nearest = nullptr;
  for (const auto& [secondary, bridge] : segment)
    if (bridge.Claims(bus)) nearest = &bridge;
  return nearest;
}

void CheckRanges(const Segment& segment, ErrorList& errors) {
  for (const auto& [secondary, bridge] : segment) {
    const Bridge* parent = ClaimedBy(segment, bridge.bdf.bus);
    if (parent != nullptr && !parent->Claims(bridge.subordinate))
      errors.Add(bridge.Place(),
                 fmt::format("it leads to {}, beyond {} of {} that it sits behind", bridge.Buses(),
                             parent->Buses(), parent->Place()),
                 "stay within them, or widen those");
    for (const auto& [other_secondary, other] : segment) {
      if (other_secondary >= secondary) break;
      if (other.Claims(secondary) && !other.Claims(bridge.bdf.bus))
        errors.Add(bridge.Place(),
                   fmt::format("{} and {} of {} overlap, and neither bridge is behind the other",
                               bridge.Buses(), other.Buses(), other.Place()),
                   "keep them apart");
    }
  }
}

// A bus that a bridge claims is none of its own, and can only be reached through another bridge.
void CheckReachable(const std::map<u16, Segment>& segments, const Addresses& addresses,
                    const std::set<Bdf>& virtual_functions, ErrorList& errors) {
  for (const auto& [bdf, place] : addresses) {
    if (virtual_functions.contains(bdf)) continue;
    const auto segment = segments.find(bdf.segment);
    if (segment == segments.end() || segment->second.contains(bdf.bus)) continue;
    const Bridge* claimed_by = ClaimedBy(segment->second, bdf.bus);
    if (claimed_by != nullptr)
      errors.Add(
          place,
          fmt::format("bus {:#04x} is among {} of {}, but no bridge leads to it", bdf.bus,
                      claimed_by->Buses(), claimed_by->Place()),
          fmt::format("add a bridge with secondary bus {:#04x}, or use another bus", bdf.bus));
  }
}

}  // namespace

void CheckBuses(const Draft& draft, ErrorList& errors) {
  Addresses addresses;
  AddAddresses("bridges", draft.bridges, addresses, errors);
  AddAddresses("devices", draft.devices, addresses, errors);
  const std::set<Bdf> virtual_functions = VirtualFunctions(draft);
  if (draft.addresses_known) CheckFunctions(addresses, virtual_functions, errors);
  const auto segments = SortBridges(draft, errors);
  for (const auto& [number, segment] : segments) CheckRanges(segment, errors);
  CheckReachable(segments, addresses, virtual_functions, errors);
}

}  // namespace vfiolab::topology
