// Builds the configuration space of bridges from what they are.
#pragma once
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "pci/express_capability.hpp"

namespace vfiolab {

enum class BridgeKind {
  kRootPort,
  kUpstreamPort,
  kDownstreamPort,
  kPcieToPci,
  kPciToPci,
  kPciToPcie
};

inline constexpr std::array kBridgeKinds = {
    std::pair{BridgeKind::kRootPort, std::string_view("root-port")},
    std::pair{BridgeKind::kUpstreamPort, std::string_view("upstream-port")},
    std::pair{BridgeKind::kDownstreamPort, std::string_view("downstream-port")},
    std::pair{BridgeKind::kPcieToPci, std::string_view("pcie-to-pci")},
    std::pair{BridgeKind::kPciToPci, std::string_view("pci-to-pci")},
    std::pair{BridgeKind::kPciToPcie, std::string_view("pci-to-pcie")},
};
std::string_view NameOf(BridgeKind kind);

// PCI_EXP_TYPE_*; nothing for a bridge of conventional PCI.
std::optional<u16> ExpressType(BridgeKind kind);
// Whether it has a link behind it.
inline bool HasLink(BridgeKind kind) {
  return kind == BridgeKind::kRootPort || kind == BridgeKind::kDownstreamPort;
}
// Whether a conventional bus is behind it.
inline bool LeadsToPci(BridgeKind kind) {
  return kind == BridgeKind::kPcieToPci || kind == BridgeKind::kPciToPci;
}

// Of a well-known bridge of that kind, by which Linux does nothing special.
struct BridgeIds {
  u16 vendor, device;
  bool operator==(const BridgeIds&) const = default;
};
BridgeIds UsualIds(BridgeKind kind);

struct BridgeWindows {
  std::optional<std::pair<u32, u32>> memory;        // first and last byte
  std::optional<std::pair<u64, u64>> prefetchable;  // likewise
  std::optional<std::pair<u16, u16>> io;            // likewise

  bool operator==(const BridgeWindows&) const = default;
};

struct BridgeIdentity {
  BridgeKind kind;
  BridgeIds ids;
  std::optional<AcsBits> acs;  // nothing: it has no such capability. Of kinds that are express
  bool multifunction;          // it is function 0, and there are others
  u8 primary, secondary, subordinate;
  u8 slot;  // the number of the slot behind it, of kinds that have a link
};

// A type 1 header with PCI Express and access control, where it has them.
ConfigSpace BuildBridgeConfig(const BridgeIdentity& bridge, const BridgeWindows& windows);

}  // namespace vfiolab
