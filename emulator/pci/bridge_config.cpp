#include "pci/bridge_config.hpp"

namespace vfiolab {
namespace {

constexpr u32 kBridgeClass = 0x060400;

// A window whose base lies above its limit is closed.
void AddWindows(ConfigSpace& config, const BridgeWindows& windows) {
  const auto memory = windows.memory.value_or(std::pair{0xfff00000u, 0u});
  config.Set(PCI_MEMORY_BASE, 2, memory.first >> 16 & 0xfff0);
  config.Set(PCI_MEMORY_LIMIT, 2, memory.second >> 16 & 0xfff0);
  const auto prefetch = windows.prefetchable.value_or(std::pair{u64{0xfff00000}, u64{0}});
  config.Set(PCI_PREF_MEMORY_BASE, 2, (prefetch.first >> 16 & 0xfff0) | PCI_PREF_RANGE_TYPE_64);
  config.Set(PCI_PREF_MEMORY_LIMIT, 2, (prefetch.second >> 16 & 0xfff0) | PCI_PREF_RANGE_TYPE_64);
  config.Set(PCI_PREF_BASE_UPPER32, 4, static_cast<u32>(prefetch.first >> 32));
  config.Set(PCI_PREF_LIMIT_UPPER32, 4, static_cast<u32>(prefetch.second >> 32));
  const auto io = windows.io.value_or(std::pair{u16{0xf000}, u16{0}});
  config.Set(PCI_IO_BASE, 1, io.first >> 8 & 0xf0u);
  config.Set(PCI_IO_LIMIT, 1, io.second >> 8 & 0xf0u);
}

void AddSlot(ConfigSpace& config, u8 slot) {
  const u8 express = config.FindCapability(PCI_CAP_ID_EXP);
  config.Set(express + PCI_EXP_SLTCAP, 4, static_cast<u32>(slot) << 19);
  config.Set(express + PCI_EXP_SLTSTA, 2, PCI_EXP_SLTSTA_PDS);
}

}  // namespace

std::string_view NameOf(BridgeKind kind) {
  for (const auto& [one, name] : kBridgeKinds)
    if (one == kind) return name;
  return "";
}

std::optional<u16> ExpressType(BridgeKind kind) {
  switch (kind) {
    case BridgeKind::kRootPort:
      return PCI_EXP_TYPE_ROOT_PORT;
    case BridgeKind::kUpstreamPort:
      return PCI_EXP_TYPE_UPSTREAM;
    case BridgeKind::kDownstreamPort:
      return PCI_EXP_TYPE_DOWNSTREAM;
    case BridgeKind::kPcieToPci:
      return PCI_EXP_TYPE_PCI_BRIDGE;
    case BridgeKind::kPciToPcie:
      return PCI_EXP_TYPE_PCIE_BRIDGE;
    case BridgeKind::kPciToPci:
      return std::nullopt;
  }
  return std::nullopt;
}

BridgeIds UsualIds(BridgeKind kind) {
  switch (kind) {
    case BridgeKind::kRootPort:
      return {0x1b36, 0x000c};
    case BridgeKind::kUpstreamPort:
      return {0x104c, 0x8232};
    case BridgeKind::kDownstreamPort:
      return {0x104c, 0x8233};
    case BridgeKind::kPcieToPci:
      return {0x1b36, 0x000e};
    case BridgeKind::kPciToPci:
      return {0x1b36, 0x0001};
    case BridgeKind::kPciToPcie:
      return {0x10b5, 0x8112};
  }
  return {};
}

ConfigSpace BuildBridgeConfig(const BridgeIdentity& bridge, const BridgeWindows& windows) {
  const auto type = ExpressType(bridge.kind);
  ConfigSpace config(type ? kExpressConfigSize : kConventionalConfigSize);
  config.Set(PCI_VENDOR_ID, 2, bridge.ids.vendor);
  config.Set(PCI_DEVICE_ID, 2, bridge.ids.device);
  config.Set(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  config.Set(PCI_CLASS_REVISION, 4, kBridgeClass << 8);
  config.Set(PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE | (bridge.multifunction ? 0x80u : 0u));
  config.Set(PCI_PRIMARY_BUS, 1, bridge.primary);
  config.Set(PCI_SECONDARY_BUS, 1, bridge.secondary);
  config.Set(PCI_SUBORDINATE_BUS, 1, bridge.subordinate);
  AddWindows(config, windows);
  if (type) AddExpress(config, *type);
  if (HasLink(bridge.kind)) AddSlot(config, bridge.slot);
  if (bridge.acs) AddAcs(config, *bridge.acs);
  return config;
}

}  // namespace vfiolab
