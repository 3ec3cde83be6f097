#include "topology/placement.hpp"

#include <algorithm>
#include <map>

namespace vfiolab::topology {
namespace {

constexpr u64 kBridgeGranularity = 1_MiB, kIoGranularity = 4_KiB;

// A part of the address space that BARs are cut from.
struct Window {
  u64 next;
  u64 end;
  std::vector<std::pair<u64, u64>> given = {};  // first and last address of what bridges have of it

  // The next `size` bytes, aligned; 0 when they do not fit.
  u64 Take(u64 size, u64 alignment) {
    const u64 at = NextFree(size, alignment);
    if (at < next || at + size > end) return 0;
    next = at + size;
    return at;
  }
  bool Align(u64 alignment) { return Take(0, alignment) != 0; }

 private:
  u64 NextFree(u64 size, u64 alignment) const {
    const auto aligned = [&](u64 at) { return (at + alignment - 1) & ~(alignment - 1); };
    u64 at = aligned(next);
    for (bool moved = true; moved;) {
      moved = false;
      for (const auto& [first, last] : given)
        if (first < at + size && at <= last) {
          at = aligned(last + 1);
          moved = true;
        }
    }
    return at;
  }
};

// What devices and bridges of a bus take their addresses from.
struct Space {
  Window low, high, io;
};

class Placement {
 public:
  explicit Placement(Machine& machine) : machine_(machine) {}

  // Places all buses; false when a window is full.
  bool Run() {
    std::vector<std::pair<u16, u8>> buses;
    for (const auto& [bdf, slot] : machine_.devices()) buses.emplace_back(bdf.segment, bdf.bus);
    for (const auto& [bdf, bridge] : machine_.bridges()) buses.emplace_back(bdf.segment, bdf.bus);
    std::ranges::sort(buses);
    const auto repeated = std::ranges::unique(buses);
    buses.erase(repeated.begin(), repeated.end());
    for (const auto& [segment, bus] : buses)
      if (machine_.BridgeTo(segment, bus) == nullptr && !PlaceBus(segment, bus, space_))
        return false;
    FindOwnPages();
    return true;
  }

 private:
  void FindOwnPages() {
    std::map<u64, unsigned> users;  // of the pages where something small lies
    const auto each_bar = [&](auto visit) {
      for (const auto& [bdf, slot] : machine_.devices())
        for (unsigned i = 0; i < slot->bars().size(); ++i)
          if (const auto& bar = slot->bars()[i]; bar && !bar->io) visit(*slot, i, *bar);
    };
    const auto page_of = [](const BarLayout& bar) { return bar.address & ~(kPageSize - 1); };
    each_bar([&](DeviceSlot&, unsigned, const BarLayout& bar) { ++users[page_of(bar)]; });
    for (const auto& [bdf, slot] : machine_.devices())
      if (slot->rom_layout()) ++users[slot->rom_layout()->address & ~(kPageSize - 1)];
    each_bar([&](DeviceSlot& slot, unsigned i, const BarLayout& bar) {
      slot.set_owns_page(i, bar.address % kPageSize == 0 && users[page_of(bar)] == 1);
    });
  }

  bool PlaceBus(u16 segment, u8 bus, Space& space) {
    const Bdf first{segment, bus, 0, 0}, last{segment, bus, 31, 7};
    const auto bridges = [&](auto visit) {
      auto& all = machine_.bridges();
      for (auto it = all.lower_bound(first); it != all.end() && it->first <= last; ++it)
        if (!visit(it->second)) return false;
      return true;
    };
    bridges([&](const Bridge& bridge) {
      const auto& [memory, prefetchable, io] = bridge.windows;
      if (memory) space.low.given.emplace_back(*memory);
      if (prefetchable) space.high.given.emplace_back(*prefetchable);
      if (io) space.io.given.emplace_back(*io);
      return true;
    });
    const auto& devices = machine_.devices();
    for (auto it = devices.lower_bound(first); it != devices.end() && it->first <= last; ++it)
      if (!PlaceDevice(*it->second, space)) return false;
    return bridges([&](Bridge& bridge) { return PlaceBridge(bridge, space); });
  }

  bool IsMultifunction(Bdf bdf) const {
    if (bdf.function != 0) return false;
    Bdf other = bdf;
    for (other.function = 1; other.function < 8; ++other.function) {
      const DeviceSlot* function = machine_.device(other);
      const bool is_virtual = function != nullptr && function->physical_function() != nullptr;
      if ((function != nullptr && !is_virtual) || machine_.bridges().contains(other)) return true;
    }
    return false;
  }

  bool PlaceDevice(DeviceSlot& slot, Space& space) {
    BarLayouts layouts;
    for (unsigned i = 0; i < layouts.size(); ++i) {
      const PciDevice::Bar* bar = slot.device().bar(i);
      if (bar == nullptr) continue;
      const BarSpec& spec = bar->spec;
      const bool wide = spec.space == BarSpace::kMemory64, io = spec.space == BarSpace::kIo;
      Window& window = io ? space.io : wide ? space.high : space.low;
      const u64 address = window.Take(spec.size, spec.size);
      if (address == 0) return false;
      layouts[i] = BarLayout{address, spec.size, io, wide, spec.prefetchable};
    }
    slot.PlaceBars(layouts, IsMultifunction(slot.bdf()));
    return PlaceRom(slot, space.low);
  }

  bool PlaceRom(DeviceSlot& slot, Window& window) {
    if (slot.rom().empty()) return true;
    const u64 address = window.Take(slot.rom().size(), slot.rom().size());
    if (address != 0) slot.PlaceRom(static_cast<u32>(address));
    return address != 0;
  }

  // Where a bridge's window is given, what is behind it is cut from that; else it grows with what
  // is cut from the window of the bus.
  template <class T>
  static Window Inside(const std::optional<std::pair<T, T>>& given, const Window& outer) {
    return given ? Window{given->first, u64{given->second} + 1} : outer;
  }
  template <class T>
  static bool Close(std::optional<std::pair<T, T>>& given, Window& outer, Window inner, u64 unit) {
    if (given) return true;
    const u64 first = outer.next;
    const bool used = inner.next != first;
    if (used && !inner.Align(unit)) return false;
    outer.next = inner.next;
    if (used) given = std::pair{static_cast<T>(first), static_cast<T>(inner.next - 1)};
    return true;
  }

  bool PlaceBridge(Bridge& bridge, Space& space) {
    if (!space.low.Align(kBridgeGranularity) || !space.high.Align(kBridgeGranularity) ||
        !space.io.Align(kIoGranularity))
      return false;
    auto& [memory, prefetchable, io] = bridge.windows;
    Space behind{Inside(memory, space.low), Inside(prefetchable, space.high), Inside(io, space.io)};
    if (!PlaceBus(bridge.bdf.segment, bridge.secondary_bus, behind) ||
        !Close(memory, space.low, behind.low, kBridgeGranularity) ||
        !Close(prefetchable, space.high, behind.high, kBridgeGranularity) ||
        !Close(io, space.io, behind.io, kIoGranularity))
      return false;
    bridge.BuildConfig(IsMultifunction(bridge.bdf));
    return true;
  }

  Machine& machine_;
  Space space_{.low = {0x80000000, 0xfec00000},         // below 4 GiB and the interrupt controllers
               .high = {0x8000000000, 0x100000000000},  // above what RAM takes
               .io = {0x1000, 0x10000}};
};

}  // namespace

bool Place(Machine& machine) { return Placement(machine).Run(); }

}  // namespace vfiolab::topology
