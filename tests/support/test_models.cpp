#include "support/test_models.hpp"

namespace vfiolab::test {
namespace {

class Plenty final : public PciDevice {
 public:
  Plenty(DeviceHost& host, const Params&)
      : PciDevice(host, {.vendor_id = 0x1234,
                         .device_id = 0xabcd,
                         .interrupt_pin = 1,
                         .msi_vectors = 8,
                         .msix_vectors = 4,
                         .express = true}) {
    AddMemoryBar(0, {.size = 64_KiB, .space = BarSpace::kMemory64, .prefetchable = true});
    // clang-format off
    AddBar(2, {.size = 32, .space = BarSpace::kIo}, *this, Registers<Plenty>({
      {"PORT", 0, {.writable = kAllBits}},
    }));
    AddBar(3, 4_KiB, *this, Registers<Plenty>({
      {"BYTE",  0, {.width = 1, .reset = 0x11, .writable = kAllBits}},
      {"WORD",  2, {.width = 2, .reset = 0x2222, .writable = kAllBits}},
      {"DWORD", 4, {.width = 4, .reset = 0x33333333, .writable = kAllBits}},
      {"LAST",  0xffc, {.width = 4, .reset = 0x44444444, .writable = kAllBits}},
    }));
    // clang-format on
  }
};

class Bare final : public PciDevice {
 public:
  Bare(DeviceHost& host, const Params&)
      : PciDevice(host, {.vendor_id = 0x1234, .device_id = 0xba5e}) {}
};

class PlainPlatform final : public PlatformDevice {
 public:
  PlainPlatform(PlatformHost& host, const Params&)
      : PlatformDevice(host,
                       {.compatible = "vfiolab,plain",
                        .irqs = {IrqTrigger::kLevel, IrqTrigger::kEdge, IrqTrigger::kLevel}}) {
    // clang-format off
    AddRegion(4_KiB, *this, Registers<PlainPlatform>({
      {"BYTE",  0, {.width = 1, .reset = 0x11, .writable = kAllBits}},
      {"WORD",  2, {.width = 2, .reset = 0x2222, .writable = kAllBits}},
      {"DWORD", 4, {.width = 4, .reset = 0x33333333, .writable = kAllBits}},
      {"QWORD", 8, {.width = 8, .writable = kAllBits, .on_write = &PlainPlatform::OnQword}},
      {"LAST",  0xffc, {.width = 4, .reset = 0x44444444, .writable = kAllBits}},
    }));
    AddMemoryRegion(64_KiB);
    AddRegion(24, *this, Registers<PlainPlatform>({
      {"WORD", 0, {.reset = 0x55555555, .writable = kAllBits}},
    }));
    AddRegion({.size = 4_KiB, .mapping = BarMapping::kNone}, *this, Registers<PlainPlatform>({
      {"WORD", 0, {.writable = kAllBits}},
    }));
    // clang-format on
  }

 private:
  void OnQword(u64) { host().GuestError("a write"); }
};

class BarePlatform final : public PlatformDevice {
 public:
  BarePlatform(PlatformHost& host, const Params&)
      : PlatformDevice(host, {.compatible = "vfiolab,bare"}) {}
};

}  // namespace

constinit const Model kPlainPlatform = fake_devices::PlatformModelOf<PlainPlatform>(
    "plain-platform", "regions and interrupts of all kinds", {});
constinit const Model kBarePlatform =
    fake_devices::PlatformModelOf<BarePlatform>("bare-platform", "nothing at all", {});
constinit const Model kPlenty = fake_devices::ModelOf<Plenty>("plenty", "one of everything", {});
constinit const Model kBare = fake_devices::ModelOf<Bare>("bare", "nothing at all", {});

}  // namespace vfiolab::test
