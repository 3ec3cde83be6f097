#include "topology/build.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>

namespace vfiolab::topology {
namespace {

// A part of the address space that BARs are cut from.
struct Window {
  u64 next;
  u64 end;

  // The next `size` bytes, aligned; 0 when they do not fit.
  u64 Take(u64 size, u64 alignment) {
    const u64 at = (next + alignment - 1) & ~(alignment - 1);
    if (at < next || at + size > end) return 0;
    next = at + size;
    return at;
  }
  bool Align(u64 alignment) { return Take(0, alignment) != 0; }
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
      if (machine_.BridgeTo(segment, bus) == nullptr && !PlaceBus(segment, bus)) return false;
    FindOwnPages();
    return true;
  }

 private:
  static constexpr u64 kBridgeGranularity = 1_MiB, kIoGranularity = 4_KiB;

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

  bool PlaceBus(u16 segment, u8 bus) {
    for (const auto& [bdf, slot] : machine_.devices())
      if (bdf.segment == segment && bdf.bus == bus && !PlaceDevice(*slot)) return false;
    for (auto& [bdf, bridge] : machine_.bridges())
      if (bdf.segment == segment && bdf.bus == bus && !PlaceBridge(bridge)) return false;
    return true;
  }

  bool PlaceDevice(DeviceSlot& slot) {
    BarLayouts layouts;
    for (unsigned i = 0; i < layouts.size(); ++i) {
      const PciDevice::Bar* bar = slot.device().bar(i);
      if (bar == nullptr) continue;
      const BarSpec& spec = bar->spec;
      const bool wide = spec.space == BarSpace::kMemory64, io = spec.space == BarSpace::kIo;
      Window& window = io ? io_ : wide ? high_ : low_;
      const u64 address = window.Take(spec.size, spec.size);
      if (address == 0) return false;
      layouts[i] = BarLayout{address, spec.size, io, wide, spec.prefetchable};
    }
    Bdf first = slot.bdf(), other = slot.bdf();
    first.function = 0;
    bool multifunction = false;
    for (other.function = 1; other.function < 8; ++other.function) {
      const DeviceSlot* function = machine_.device(other);
      const bool is_virtual = function != nullptr && function->physical_function() != nullptr;
      multifunction |= (function != nullptr && !is_virtual) || machine_.bridges().contains(other);
    }
    slot.PlaceBars(layouts, multifunction && slot.bdf() == first);
    return PlaceRom(slot);
  }

  bool PlaceRom(DeviceSlot& slot) {
    if (slot.rom().empty()) return true;
    const u64 address = low_.Take(slot.rom().size(), slot.rom().size());
    if (address != 0) slot.PlaceRom(static_cast<u32>(address));
    return address != 0;
  }

  bool PlaceBridge(Bridge& bridge) {
    if (!low_.Align(kBridgeGranularity) || !high_.Align(kBridgeGranularity) ||
        !io_.Align(kIoGranularity))
      return false;
    const Window low = low_, high = high_, io = io_;
    if (!PlaceBus(bridge.bdf.segment, bridge.secondary_bus)) return false;
    const auto range = [](Window& now, const Window& before,
                          u64 alignment) -> std::optional<std::pair<u64, u64>> {
      if (now.next == before.next || !now.Align(alignment)) return std::nullopt;
      return std::pair{before.next, now.next - 1};
    };
    if (const auto r = range(low_, low, kBridgeGranularity))
      bridge.windows.memory = {static_cast<u32>(r->first), static_cast<u32>(r->second)};
    bridge.windows.prefetchable = range(high_, high, kBridgeGranularity);
    if (const auto r = range(io_, io, kIoGranularity))
      bridge.windows.io = {static_cast<u16>(r->first), static_cast<u16>(r->second)};
    bridge.config = BuildRootPortConfig(bridge.bdf.bus, bridge.secondary_bus,
                                        bridge.subordinate_bus, bridge.bdf.device, bridge.windows);
    return true;
  }

  Machine& machine_;
  Window low_{0x80000000, 0xfec00000};         // below 4 GiB and the interrupt controllers
  Window high_{0x8000000000, 0x100000000000};  // above what RAM takes
  Window io_{0x1000, 0x10000};
};

const Model& ModelOf(const std::string& name, const TopologySpec& spec,
                     std::span<const Model> models) {
  const auto plugin = std::ranges::find(spec.plugins, name, &Model::name);
  if (plugin != spec.plugins.end()) return *plugin;
  const auto model = std::ranges::find(models, name, &Model::name);
  CHECK_OURS(model != models.end());
  return *model;
}

}  // namespace

Result<Success, ConfigError> Build(const TopologySpec& spec, std::span<const Model> models,
                                   Machine& machine) {
  for (const BridgeSpec& bridge : spec.bridges)
    machine.AddBridge(bridge.bdf, bridge.secondary_bus, bridge.subordinate_bus).reports_link =
        bridge.reports_link;
  for (const DeviceSpec& device : spec.devices) {
    const Model& model = ModelOf(device.model, spec, models);
    std::map<std::string, std::vector<std::byte>, std::less<>> dumps;
    for (const auto& [name, dump] : device.dumps) dumps.emplace(name, dump.bytes);
    machine.AddDevice(device.bdf, model, Params(model.params, device.params, std::move(dumps)),
                      device.driver);
    if (!device.reset) machine.device(device.bdf)->ChooseResets("");
    if (device.rom) machine.device(device.bdf)->set_rom(device.rom->bytes);
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
  for (const GroupSpec& spec_group : spec.groups) {
    IommuGroup& group = machine.AddGroup(spec_group.id);
    for (const Bdf& member : spec_group.members) {
      if (DeviceSlot* slot = machine.device(member)) {
        group.Add(*slot);
      } else {
        group.AddBridge(member);
        machine.bridges().at(member).group = &group;
      }
    }
    for (const std::string& name : spec_group.platform_members)
      group.Add(*machine.platform_device(name));
  }
  if (!Placement(machine).Run())
    return Failure{ConfigError{spec.name, "/devices",
                               "the BARs of all devices do not fit: there are 2 GiB for 32-bit "
                               "memory BARs and 60 KiB for I/O BARs",
                               "use fewer devices, or models with smaller BARs"}};
  return {};
}

}  // namespace vfiolab::topology
