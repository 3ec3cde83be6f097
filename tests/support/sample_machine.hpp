// A machine with one of each kind of function, for tests that look at a whole machine.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>

#include "fake_devices/models.hpp"
#include "machine/machine.hpp"
#include "support/fake_environment.hpp"

namespace vfiolab::test {

// Ports that keep what is written and count the accesses.
class CountingPorts final : public BarHandler {
 public:
  void Read(Offset at, std::span<std::byte> to) override {
    ++accesses;
    std::memcpy(to.data(), bytes.data() + at, to.size());
  }
  void Write(Offset at, std::span<const std::byte> from) override {
    ++accesses;
    std::memcpy(bytes.data() + at, from.data(), from.size());
  }
  void Reset() override {}

  std::array<std::byte, 32> bytes{};
  unsigned accesses = 0;
};

// Looks like an Intel 82576 from outside: PCI Express, memory, ports, MSI-X.
class Nic final : public PciDevice {
 public:
  Nic(DeviceHost& host, const Params&)
      : PciDevice(host, {.vendor_id = 0x8086,
                         .device_id = 0x10c9,
                         .revision = 1,
                         .class_code = 0x020000,
                         .interrupt_pin = 1,
                         .msix_vectors = 10,
                         .msix_bar = 3,
                         .express = true}) {}

  CountingPorts& ports =
      AddHandler(2, {.size = 32, .space = BarSpace::kIo}, std::make_unique<CountingPorts>());

 private:
  MemoryBar& registers_ = AddMemoryBar(0, {.size = 128_KiB});
  MemoryBar& flash_ = AddMemoryBar(1, {.size = 128_KiB});
};

inline constexpr Model kNic = fake_devices::ModelOf<Nic>("nic", "looks like a NIC", {});

// Segment 0:
//   00:0b.0 nic, vfio-pci, group 6
//   00:1c.0 bridge to bus 01, in group 1
//     01:00.0 edu, vfio-pci, group 1
//     01:00.1 scratch with MSI-X, driver "nvme", group 1
//     01:01.0 bridge to bus 02, in no group
//       02:00.0 pci-testdev with 64 KiB of memory, vfio-pci, group 7
// Segment 1:
//   05:00.0 scratch, no driver, group 12
class SampleMachine {
 public:
  SampleMachine() {
    AddBridges();
    AddDevice({0, 1, 0, 0}, fake_devices::kEdu, {}, kVfio, Memory32(0xfe000000, 1_MiB));
    BarLayouts scratch = Memory32(0xfe100000, 4_KiB);
    scratch[5] = BarLayout{.address = 0xfe101000, .size = 4_KiB};
    AddDevice({0, 1, 0, 1}, fake_devices::kScratch, {{"msix_vectors", 8}}, "nvme", scratch);
    BarLayouts testdev = Memory32(0xfe200000, 4_KiB);
    testdev[1] = BarLayout{.address = 0x2000, .size = 256, .io = true};
    testdev[2] =
        BarLayout{.address = 0x80000'0000, .size = 64_KiB, .wide = true, .prefetchable = true};
    AddDevice({0, 2, 0, 0}, fake_devices::kPciTestdev, {{"membar", 64_KiB}}, kVfio, testdev);
    AddDevice({0, 0, 0xb, 0}, kNic, {}, kVfio, NicBars());
    AddDevice({1, 5, 0, 0}, fake_devices::kScratch, {}, "", Memory32(0xfd000000, 4_KiB));
    IommuGroup& first = machine.AddGroup(1);
    first.Add(machine.bridges().at({0, 0, 0x1c, 0}));
    first.Add(*machine.device({0, 1, 0, 0}));
    first.Add(*machine.device({0, 1, 0, 1}));
    machine.AddGroup(6).Add(*machine.device({0, 0, 0xb, 0}));
    machine.AddGroup(7).Add(*machine.device({0, 2, 0, 0}));
    machine.AddGroup(12).Add(*machine.device({1, 5, 0, 0}));
  }

  FakeEnvironment environment;
  Trace trace;
  Machine machine{environment, trace,
                  Iommu{.reserved = {{{0xfee00000, 0xfeefffff}, ReservedKind::kMsi}}}};

 private:
  static constexpr const char* kVfio = "vfio-pci";

  static BarLayouts Memory32(u64 address, u64 size) {
    BarLayouts bars;
    bars[0] = BarLayout{.address = address, .size = size};
    return bars;
  }

  static BarLayouts NicBars() {
    BarLayouts bars = Memory32(0xfeac0000, 128_KiB);
    bars[1] = BarLayout{.address = 0xfeae0000, .size = 128_KiB};
    bars[2] = BarLayout{.address = 0xc180, .size = 32, .io = true};
    bars[3] = BarLayout{.address = 0xfeb44000, .size = 16_KiB, .wide = true};
    return bars;
  }

  void AddBridges() {
    Bridge& outer = machine.AddBridge({0, 0, 0x1c, 0}, 1, 2);
    outer.windows = {.memory = {{0xfe000000, 0xfe2fffff}},
                     .prefetchable = {{0x80000'0000, 0x80000'0000 + (1_MiB - 1)}},
                     .io = {{0x2000, 0x2fff}}};
    outer.BuildConfig(false);
    Bridge& inner = machine.AddBridge({0, 1, 1, 0}, 2, 2);
    inner.windows = {.memory = {{0xfe200000, 0xfe2fffff}}, .prefetchable = {}, .io = {}};
    inner.BuildConfig(false);
  }

  void AddDevice(Bdf bdf, const Model& model, const std::map<std::string, u64>& params,
                 std::string driver, const BarLayouts& bars) {
    machine.AddDevice(bdf, model, Params(model.params, params), std::move(driver))
        .PlaceBars(bars, bdf.bus == 1);
  }
};

}  // namespace vfiolab::test
