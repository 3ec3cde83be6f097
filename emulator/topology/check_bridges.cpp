#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "topology/check.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

// One kind of window: its key, where it is, and what it is made of.
struct WindowKind {
  std::string_view key;
  std::optional<WindowDraft> BridgeDraft::*window;
  u64 unit;
};
constexpr std::array kWindows = {WindowKind{"memory", &BridgeDraft::memory, 1_MiB},
                                 WindowKind{"prefetchable", &BridgeDraft::prefetchable, 1_MiB},
                                 WindowKind{"io", &BridgeDraft::io, 4_KiB}};

class Bridges {
 public:
  Bridges(const Draft& draft, ErrorList& errors) : draft_(draft), errors_(errors) {
    for (const BridgeDraft& bridge : draft.bridges)
      if (bridge.bdf && bridge.secondary_bus)
        by_bus_.emplace(std::pair{bridge.bdf->segment, *bridge.secondary_bus}, &bridge);
  }

  void Check() {
    for (const BridgeDraft& bridge : draft_.bridges) {
      if (!bridge.bdf || !bridge.kind) continue;
      CheckKind(bridge);
      if (bridge.acs && *bridge.acs && !ExpressType(*bridge.kind))
        errors_.Add(Place(bridge, "acs"), "conventional PCI has no access control",
                    "remove it, or use another kind");
      for (const WindowKind& kind : kWindows) CheckWindow(bridge, kind);
    }
  }

 private:
  std::string Place(const BridgeDraft& bridge, std::string_view key) const {
    return fmt::format("/bridges/{}/{}", &bridge - draft_.bridges.data(), key);
  }

  // Null for one on a root bus.
  const BridgeDraft* Above(const BridgeDraft& bridge) const {
    const auto it = by_bus_.find({bridge.bdf->segment, bridge.bdf->bus});
    return it == by_bus_.end() ? nullptr : it->second;
  }

  // Nothing when it fits; else where it belongs.
  static std::string_view Misplaced(BridgeKind kind, std::optional<BridgeKind> above) {
    const bool below_port = above && (HasLink(*above) || above == BridgeKind::kPciToPcie);
    switch (kind) {
      case BridgeKind::kRootPort:
        return above ? "put it on a root bus" : "";
      case BridgeKind::kUpstreamPort:
        return below_port ? "" : "put it behind a root port or a downstream port";
      case BridgeKind::kDownstreamPort:
        return above == BridgeKind::kUpstreamPort ? "" : "put it behind an upstream port";
      case BridgeKind::kPcieToPci:
        return !above || below_port ? "" : "put it on a root bus, or behind a port";
      case BridgeKind::kPciToPcie:
        return !above || LeadsToPci(*above) ? "" : "put it on a conventional bus";
      case BridgeKind::kPciToPci:  // the kernel meets ones that hide that they are PCI Express
        return above == BridgeKind::kUpstreamPort ? "put it behind a downstream port" : "";
    }
    return "";
  }

  void CheckKind(const BridgeDraft& bridge) {
    const BridgeDraft* above = Above(bridge);
    if (above != nullptr && (!above->kind || above == &bridge)) return;
    const auto remedy = Misplaced(*bridge.kind, above == nullptr ? std::nullopt : above->kind);
    if (remedy.empty()) return;
    errors_.Add(Place(bridge, "kind"),
                fmt::format("there is no {} {}", NameOf(*bridge.kind),
                            above == nullptr ? std::string("on a root bus")
                                             : fmt::format("behind a {}", NameOf(*above->kind))),
                std::string(remedy));
  }

  void CheckWindow(const BridgeDraft& bridge, const WindowKind& kind) {
    const auto& window = bridge.*kind.window;
    if (!window || !window->first || !window->last) return;
    const u64 first = *window->first, last = *window->last;
    const std::string place = Place(bridge, kind.key);
    if (first > last)
      return errors_.Add(place, fmt::format("{:#x} is above {:#x}", first, last),
                         "give the lower address as \"first\"");
    if (first % kind.unit != 0 || last % kind.unit != kind.unit - 1)
      return errors_.Add(
          place,
          fmt::format("{:#x}-{:#x} does not begin and end at {}", first, last,
                      FormatSize(kind.unit)),
          fmt::format("give {:#x}-{:#x}", first & ~(kind.unit - 1), last | (kind.unit - 1)));
    const BridgeDraft* above = Above(bridge);
    CheckSiblings(bridge, kind, first, last);
    if (above == nullptr) return;
    const auto& outer = above->*kind.window;
    if (outer && (!outer->first || !outer->last)) return;
    if (!outer || first < *outer->first || *outer->last < last)
      errors_.Add(place,
                  fmt::format("{:#x}-{:#x} is not in that of {} above it", first, last,
                              above->bdf->ToString()),
                  "give that one a window which holds it");
  }

  // Those on the same bus that come before it in the file.
  void CheckSiblings(const BridgeDraft& bridge, const WindowKind& kind, u64 first, u64 last) {
    for (const BridgeDraft& other : draft_.bridges) {
      if (&other == &bridge) return;
      const auto& window = other.*kind.window;
      const bool beside = other.bdf && other.bdf->segment == bridge.bdf->segment &&
                          other.bdf->bus == bridge.bdf->bus;
      if (!beside || !window || !window->first || !window->last) continue;
      if (first <= *window->last && *window->first <= last)
        errors_.Add(Place(bridge, kind.key),
                    fmt::format("{:#x}-{:#x} overlaps that of /bridges/{}", first, last,
                                &other - draft_.bridges.data()),
                    "keep them apart");
    }
  }

  const Draft& draft_;
  ErrorList& errors_;
  std::map<std::pair<u16, u8>, const BridgeDraft*> by_bus_;  // by segment and secondary bus
};

}  // namespace

void CheckBridges(const Draft& draft, ErrorList& errors) {
  Bridges(draft, errors).Check();
  for (std::size_t i = 0; i < draft.devices.size(); ++i) {
    const DeviceDraft& device = draft.devices[i];
    for (std::size_t j = 0; j < device.dma_aliases.size(); ++j) {
      const auto& alias = device.dma_aliases[j];
      if (!device.bdf || !alias) continue;
      if (alias->segment != device.bdf->segment || alias->bus != device.bdf->bus)
        errors.Add(fmt::format("/devices/{}/dma_aliases/{}", i, j),
                   fmt::format("{} is on another bus", alias->ToString()),
                   "give a function of the device's own bus");
    }
  }
}

}  // namespace vfiolab::topology
