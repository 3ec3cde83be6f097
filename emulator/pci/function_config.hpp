// Builds the configuration space of functions from what they are.
#pragma once
#include <array>
#include <optional>

#include "pci/express_capability.hpp"

namespace vfiolab {

// One BAR as config space shows it.
struct BarLayout {
  u64 address = 0;  // on the host's bus, aligned to size
  u64 size = 0;     // a power of two
  bool io = false;
  bool wide = false;  // 64 bits: takes the next BAR too
  bool prefetchable = false;
  bool owns_page = false;  // nothing else lies in the pages of 4 KiB that it touches

  // The type bits in the low nibble of the register.
  u32 TypeBits() const;
};

using BarLayouts = std::array<std::optional<BarLayout>, 6>;

struct FunctionIdentity {
  u16 vendor_id;
  u16 device_id;
  u16 subsystem_vendor_id;
  u16 subsystem_id;
  u8 revision;
  u32 class_code;
  u8 interrupt_pin;
  unsigned msi_vectors;
  unsigned msix_vectors;
  unsigned msix_bar;
  u32 msix_pba_offset;
  bool express;
  bool on_root_bus;            // a part of the root complex, if it is express
  std::optional<AcsBits> acs;  // nothing: it has no such capability. Of those that are express
  bool multifunction;
};

// The expansion ROM of a function.
struct RomLayout {
  u32 address = 0;  // on the host's bus, aligned to size
  u32 size = 0;     // a power of two from 2 KiB
};

// Adds the register of the expansion ROM to config space.
void AddRom(ConfigSpace& config, const RomLayout& rom);

// What of COMMAND the specification lets be written in a virtual function.
inline constexpr u32 kVirtualFunctionCommand = PCI_COMMAND_MASTER;

// Makes of a function's config space that of a virtual function: its ids are those of nobody, it
// has no BAR registers, no interrupt pin and no bits to decode with (SR-IOV specification, 3.4).
void BecomeVirtualFunction(ConfigSpace& config, u32 command_bits = kVirtualFunctionCommand);

// A type 0 header with the capabilities of `identity`: MSI (64-bit, at 0x40 where it is the only
// one), MSI-X, PCI Express with function-level reset.
ConfigSpace BuildFunctionConfig(const FunctionIdentity& identity, const BarLayouts& bars);

// The config space of a real function (`image`, 256 or 4096 bytes), put where `bars` say and at
// rest: no interrupt is enabled or pending, and it is in D0. `writable` has a 1 for each bit that
// software can write; where it is empty the specifications say.
ConfigSpace BuildReplicaConfig(std::span<const std::byte> image,
                               std::span<const std::byte> writable, const BarLayouts& bars,
                               bool multifunction);

}  // namespace vfiolab
