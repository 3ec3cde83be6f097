// The interface of October 2011 to January 2012, and in what its revisions differ
// (drivers/vfio of that time).
#pragma once
#include <array>
#include <cerrno>
#include <string_view>

namespace vfiolab::merge {

// Which ioctls there are.
enum class Calls { kOctober, kLateOctober, kDecember, kJanuary };

struct Revision {
  std::string_view name;
  Calls calls;
  // Of numbers that have no ioctl.
  int unknown_ioctl = ENOTTY;
  // A group's node is /dev/vfio/PREFIXnumber.
  std::string_view node_prefix = "pci:";
  // The IOMMU is not opened where interrupts are not remapped, unless allow_unsafe_intrs is set.
  bool needs_interrupt_isolation = false;
  // The driver takes functions that come to a group whose IOMMU is open, and no mapping may meet
  // the MSI-X table.
  bool claims_newcomers = true;
  bool protects_msix_table = true;
  // IRQ_INFO takes the field of MSI's vectors for the exponent, which is twice that.
  bool miscounts_msi = false;

  bool operator==(const Revision&) const = default;
};

inline constexpr std::array kRevisions = {
    Revision{.name = "B0",
             .calls = Calls::kOctober,
             .unknown_ioctl = ENOSYS,
             .node_prefix = "",
             .needs_interrupt_isolation = true,
             .claims_newcomers = false,
             .protects_msix_table = false,
             .miscounts_msi = true},
    Revision{.name = "B1",
             .calls = Calls::kLateOctober,
             .unknown_ioctl = ENOSYS,
             .node_prefix = "",
             .needs_interrupt_isolation = true,
             .claims_newcomers = false,
             .protects_msix_table = false,
             .miscounts_msi = true},
    Revision{.name = "B2", .calls = Calls::kDecember},
    Revision{.name = "B3", .calls = Calls::kJanuary},
};

}  // namespace vfiolab::merge
