// Device models for tests of what surrounds a device.
#pragma once
#include "fake_devices/models.hpp"

namespace vfiolab::test {

// A PCI Express function with one of everything: BAR0 64 KiB of memory, 64 bits wide and
// prefetchable; BAR2 32 bytes of ports; BAR3 4 KiB of registers that only store; INTA, 8 MSI
// vectors and 4 MSI-X vectors (table in BAR5).
extern const Model kPlenty;

// A conventional function without BARs, interrupts or capabilities.
extern const Model kBare;

// A platform device: region 0 4 KiB of registers that only store, region 1 64 KiB of memory, region
// 2 24 bytes of registers, region 3 4 KiB of registers that cannot be mapped; interrupts 0 and 2
// are levels, 1 is an edge.
extern const Model kPlainPlatform;

// One with nothing at all.
extern const Model kBarePlatform;

}  // namespace vfiolab::test
