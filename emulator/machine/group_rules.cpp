#include "machine/group_rules.hpp"

#include <linux/pci_regs.h>

#include <algorithm>

#include "pci/quirks.hpp"

namespace vfiolab {
namespace {

struct Bus {
  u16 segment;
  u8 number;
  bool operator==(const Bus&) const = default;
};

Bus BusOf(const BusFunction& function) { return {function.bdf().segment, function.bdf().bus}; }

bool IsVirtual(const BusFunction& function) {
  return function.slot != nullptr && function.slot->physical_function() != nullptr;
}

FunctionIds IdsOf(const BusFunction& function) {
  const auto field = [&](std::size_t at) { return static_cast<u16>(function.config().Get(at, 2)); };
  if (function.bridge != nullptr) return {field(PCI_VENDOR_ID), field(PCI_DEVICE_ID), 0, 0};
  // The config space of a virtual function shows none.
  const PciIdentity& identity = function.slot->device().identity();
  return {identity.vendor_id, identity.device_id, field(PCI_SUBSYSTEM_VENDOR_ID),
          field(PCI_SUBSYSTEM_ID)};
}

// drivers/pci/probe.c pci_scan_slot, pci_setup_device.
bool IsMultifunction(const BusFunction& function) {
  return (!IsVirtual(function) && function.bdf().function > 0) ||
         function.config().Get(PCI_HEADER_TYPE, 1) & 0x80;
}

Devfns AliasesOf(const BusFunction& function) {
  Devfns aliases = AliasesByQuirk(IdsOf(function), function.bdf());
  if (function.slot != nullptr)
    for (const Bdf alias : function.slot->dma_aliases()) aliases.set(alias.Devfn());
  return aliases;
}

// drivers/pci/pci.c pci_acs_flags_enabled: what is not in the capability is hard-wired.
bool CapabilityIsolates(const ConfigSpace& config) {
  const u16 at = config.FindExtendedCapability(PCI_EXT_CAP_ID_ACS);
  if (at == 0) return false;
  const u32 wanted = kIsolatingAcs & config.Get(at + PCI_ACS_CAP, 2);
  return (config.Get(at + PCI_ACS_CTRL, 2) & wanted) == wanted;
}

// drivers/pci/pci.c pci_acs_enabled.
bool Isolates(const BusFunction& function) {
  if (const auto known = IsolatesByQuirk(IdsOf(function), function.config())) return *known;
  const auto type = ExpressType(function.config());
  if (!type) return false;
  switch (*type) {
    case PCI_EXP_TYPE_PCIE_BRIDGE:
    case PCI_EXP_TYPE_PCI_BRIDGE:
    case PCI_EXP_TYPE_RC_EC:
      return false;
    case PCI_EXP_TYPE_DOWNSTREAM:
    case PCI_EXP_TYPE_ROOT_PORT:
      return CapabilityIsolates(function.config());
    default:
      return !IsMultifunction(function) || CapabilityIsolates(function.config());
  }
}

bool AreAliases(const BusFunction& one, const BusFunction& other) {
  return AliasesOf(one).test(other.bdf().Devfn()) || AliasesOf(other).test(one.bdf().Devfn());
}

class GroupRules {
 public:
  explicit GroupRules(Machine& machine) : machine_(machine) {}

  IommuGroup* FindFor(BusFunction function) {
    if (IommuGroup* group = FollowAliases(function)) return group;
    if (IommuGroup* group = FollowOpenPath(function)) return group;
    Devfns seen;
    if (IommuGroup* group = GroupOfAliases(function, seen)) return group;
    return GroupOfFunctions(function, seen);
  }

 private:
  // What a bus hangs on. `bridge` is null for a bus that only virtual functions are on.
  struct Parent {
    Bridge* bridge;
    Bus bus;
  };

  // Nothing for a root bus.
  std::optional<Parent> ParentOf(Bus bus) {
    if (Bridge* bridge = machine_.BridgeTo(bus.segment, bus.number))
      return Parent{bridge, {bridge->bdf.segment, bridge->bdf.bus}};
    const auto beside = machine_.BusBeside(bus.segment, bus.number);
    if (!beside) return std::nullopt;
    return Parent{nullptr, {bus.segment, *beside}};
  }

  std::vector<BusFunction> OnBus(Bus bus) { return machine_.FunctionsOn(bus.segment, bus.number); }

  // drivers/pci/search.c pci_for_each_dma_alias: moves `function` up to the last one whose id its
  // requests may have, or finds the group of one on the way.
  IommuGroup* FollowAliases(BusFunction& function) {
    for (auto above = ParentOf(BusOf(function)), next = above; above; above = next) {
      next = ParentOf(above->bus);
      if (above->bridge == nullptr) continue;
      const BusFunction bridge{nullptr, above->bridge};
      if (IsTranslationRoot(IdsOf(bridge))) return nullptr;
      const auto type = ExpressType(bridge.config());
      const bool aliases = !type || *type == PCI_EXP_TYPE_PCIE_BRIDGE ||
                           (*type == PCI_EXP_TYPE_PCI_BRIDGE && !DoesNotAlias(IdsOf(bridge)));
      if (!aliases) continue;
      function = bridge;
      if (IommuGroup* group = bridge.group()) return group;
    }
    return nullptr;
  }

  // Moves `function` up to where the path to the root isolates.
  IommuGroup* FollowOpenPath(BusFunction& function) {
    for (auto above = ParentOf(BusOf(function)), next = above; above; above = next) {
      next = ParentOf(above->bus);
      if (above->bridge == nullptr) continue;
      if (PathIsolates({nullptr, above->bridge})) return nullptr;
      function = {nullptr, above->bridge};
      if (IommuGroup* group = function.group()) return group;
    }
    return nullptr;
  }

  // drivers/pci/pci.c pci_acs_path_enabled.
  bool PathIsolates(BusFunction function) {
    while (Isolates(function)) {
      const auto above = ParentOf(BusOf(function));
      if (!above) return true;
      function = {nullptr, above->bridge};
    }
    return false;
  }

  // get_pci_alias_group.
  IommuGroup* GroupOfAliases(const BusFunction& function, Devfns& seen) {
    if (seen.test(function.bdf().Devfn())) return nullptr;
    seen.set(function.bdf().Devfn());
    if (IommuGroup* group = function.group()) return group;
    for (const BusFunction& other : OnBus(BusOf(function))) {
      if (other == function || !AreAliases(function, other)) continue;
      if (IommuGroup* group = GroupOfAliases(other, seen)) return group;
      if (IommuGroup* group = GroupOfFunctions(other, seen)) return group;
    }
    return nullptr;
  }

  // get_pci_function_alias_group.
  IommuGroup* GroupOfFunctions(const BusFunction& function, Devfns& seen) {
    if (!IsMultifunction(function) || Isolates(function)) return nullptr;
    for (const BusFunction& other : OnBus(BusOf(function))) {
      const bool beside = other != function && other.bdf().device == function.bdf().device;
      if (!beside || Isolates(other)) continue;
      if (IommuGroup* group = GroupOfAliases(other, seen)) return group;
    }
    return nullptr;
  }

  Machine& machine_;
};

IommuGroup& GroupOrNew(Machine& machine, BusFunction function) {
  IommuGroup* group = GroupRules(machine).FindFor(function);
  return group != nullptr ? *group : machine.AddNextGroup();
}

// Each bus before what is behind its bridges.
void AssignBus(Machine& machine, Bus bus) {
  const auto functions = machine.FunctionsOn(bus.segment, bus.number);
  for (const BusFunction& function : functions)
    if (function.bridge != nullptr)
      GroupFor(machine, *function.bridge).Add(*function.bridge);
    else if (!IsVirtual(function))
      GroupFor(machine, *function.slot).Add(*function.slot);
  for (const BusFunction& function : functions)
    if (function.bridge != nullptr)
      AssignBus(machine, {bus.segment, function.bridge->secondary_bus});
}

}  // namespace

IommuGroup& GroupFor(Machine& machine, DeviceSlot& slot) {
  return GroupOrNew(machine, {&slot, nullptr});
}

IommuGroup& GroupFor(Machine& machine, Bridge& bridge) {
  return GroupOrNew(machine, {nullptr, &bridge});
}

void AssignGroups(Machine& machine) {
  for (const auto& [name, slot] : machine.platform_devices()) machine.AddNextGroup().Add(*slot);
  std::vector<std::pair<u16, u8>> buses;
  for (const auto& [bdf, slot] : machine.devices())
    if (slot->physical_function() == nullptr) buses.emplace_back(bdf.segment, bdf.bus);
  for (const auto& [bdf, bridge] : machine.bridges()) buses.emplace_back(bdf.segment, bdf.bus);
  std::ranges::sort(buses);
  const auto repeated = std::ranges::unique(buses);
  buses.erase(repeated.begin(), repeated.end());
  for (const auto& [segment, bus] : buses)
    if (machine.BridgeTo(segment, bus) == nullptr) AssignBus(machine, {segment, bus});
  for (const auto& [bdf, slot] : machine.devices())
    for (DeviceSlot* function : slot->virtual_functions())
      GroupFor(machine, *function).Add(*function);
}

}  // namespace vfiolab
