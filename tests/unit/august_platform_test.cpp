// Platform devices by the proposals of August 2011.
#include <catch2/catch.hpp>

#include "support/august_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

struct Copier : AugustBench {
  explicit Copier(const AugustPolicies& policies = {})
      : AugustBench(
            policies, {{kFirst, &fake_devices::kEdu, 1, "vfio"}},
            {{.name = kName, .model = &fake_devices::kCopier, .group = 2, .driver = "vfio"}}),
        group(OpenGroup(2)) {}
  static constexpr char kName[] = "fe000000.copier";
  PlatformSlot& platform() { return *machine.platform_device(kName); }
  int group;
};

}  // namespace

TEST_CASE("a platform device of August has regions and interrupts in a row", "[august]") {
  Copier bench;
  const int device = static_cast<int>(bench.GetDevice(bench.group, Copier::kName));
  struct {
    u32 flags, regions, irqs, reserved;
  } info{};
  REQUIRE(bench.Ioctl(device, kAugInfo, info) == 0);
  CHECK((info.flags == 5 && info.regions == 2 && info.irqs == 2));
  struct {
    u32 index = 1, flags = 0;
    u64 size = 0, offset = 0;
  } region;
  REQUIRE(bench.Ioctl(device, kAugRegionInfo, region) == 0);
  CHECK(region.offset == u64{1} << 40);
  CHECK(region.flags == 1);
  CHECK(bench.Mmap(device, region.offset, kPageSize) == 0);
  CHECK(bench.Mmap(device, region.offset, region.size + kPageSize) == -EINVAL);
  region.index = 2;
  CHECK(bench.Ioctl(device, kAugRegionInfo, region) == -EINVAL);
  CHECK(bench.Load<u32>(device, 0) == 0xc0b1e001);
  u32 word = 0;
  CHECK(bench.Read(device, u64{2} << 40, BytesOf(word)) == -EINVAL);
  CHECK(bench.BusLoad(device, 0, BytesOf(word)) == 4);
  CHECK(bench.Ioctl(device, kAugReset) == 0);
  CHECK(bench.Ioctl(device, kAugConfigFd) == -ENOTTY);
}

TEST_CASE("a platform device of August copies in the memory of its group, or of one it is bound to",
          "[august]") {
  for (const bool bound : {false, true}) {
    Copier bench;
    const int owner = bound ? bench.OpenGroup(1) : bench.group;
    const int device = static_cast<int>(bench.GetDevice(bench.group, Copier::kName));
    REQUIRE(bench.Map(owner) == 0);
    if (bound) REQUIRE(bench.Give(bench.group, kAugBind, {owner}) == 0);
    bench.client.mm().Put<u32>(AugustBench::kMemory, 0x12345678);
    bench.Store<u64>(device, 0x08, AugustBench::kIova);
    bench.Store<u64>(device, 0x10, AugustBench::kIova + 0x800);
    bench.Store<u32>(device, 0x18, 4);
    bench.Store<u32>(device, 0x1c, 1);
    bench.Wait(1s);
    CHECK(bench.client.mm().Get<u32>(AugustBench::kMemory + 0x800) == 0x12345678);
  }
}

TEST_CASE("interrupts of a platform device of August: levels are masked, edges are not",
          "[august]") {
  Copier bench;
  const int device = static_cast<int>(bench.GetDevice(bench.group, Copier::kName));
  const int level = bench.client.AddEventfd(), edge = bench.client.AddEventfd();
  CHECK(bench.Give(device, kAugSetEventfds, {2, 1, level}) == -EINVAL);
  CHECK(bench.Give(device, kAugSetEventfds, {0, 2, level, level}) == -EINVAL);
  CHECK(bench.Give(device, kAugSetEventfds, {0, 1, -1}) == -EINVAL);
  CHECK(bench.Give(device, kAugSetEventfds, {0, 1, 999}) == -EBADF);
  bench.platform().SetIrq(0, true);
  REQUIRE(bench.Give(device, kAugSetEventfds, {0, 1, level}) == 0);
  CHECK(bench.client.Signals(level) == 1);
  CHECK(bench.Give(device, kAugUnmask, {0}) == 0);
  CHECK(bench.client.Signals(level) == 1);
  bench.platform().SetIrq(0, false);
  CHECK(bench.Give(device, kAugUnmask, {0}) == 0);
  CHECK(bench.client.Signals(level) == 0);
  REQUIRE(bench.Give(device, kAugSetEventfds, {1, 1, edge}) == 0);
  bench.platform().PulseIrq(1);
  bench.platform().PulseIrq(1);
  CHECK(bench.client.Signals(edge) == 2);
  CHECK(bench.Give(device, kAugUnmask, {1}) == -EINVAL);
  CHECK(bench.Give(device, kAugUnmask, {7}) == -EINVAL);
  REQUIRE(bench.Give(device, kAugSetEventfds, {1, 0}) == 0);
  bench.platform().PulseIrq(1);
  CHECK(bench.client.Signals(edge) == 0);
}

TEST_CASE("DEVICE_GET_MMIO_FD: a descriptor for each region of a platform device", "[august]") {
  Copier bench({.regions = AugustPolicies::Regions::kDescriptors});
  const int device = static_cast<int>(bench.GetDevice(bench.group, Copier::kName));
  const int registers = static_cast<int>(bench.Give(device, 0x40043b3c, {0}));
  const int memory = static_cast<int>(bench.Give(device, 0x40043b3c, {1}));
  CHECK(bench.Load<u32>(registers, 0) == 0xc0b1e001);
  bench.Store<u32>(memory, 8, 0x12345678);
  CHECK(bench.Load<u32>(memory, 8) == 0x12345678);
  CHECK(bench.Mmap(registers, 0, kPageSize) == 0);
  CHECK(*bench.door.Mmap(bench.now, bench.client, *bench.client.file(memory),
                         {.offset = kPageSize, .length = kPageSize, .shared = true}) ==
        kRegionOffsetMask + 1 + kPageSize);
  CHECK(bench.Mmap(memory, kRegionOffsetMask + 1, kPageSize) == -EINVAL);
  bench.client.can_trap_registers = false;
  CHECK(bench.Mmap(memory, 0, kPageSize) == -EINVAL);
  CHECK(bench.Give(device, 0x40043b3c, {2}) == -EINVAL);
  CHECK(bench.Give(device, kAugBarFd, {0}) == -EINVAL);
  CHECK(bench.Ioctl(device, kAugConfigFd) == -EINVAL);
  const int edu = bench.OpenDevice(bench.OpenGroup(1));
  CHECK(bench.Give(edu, 0x40043b3c, {0}) == -EINVAL);
}

TEST_CASE("a group of August with a platform device is viable when vfio has that", "[august]") {
  Copier bench;
  CHECK(bench.Flags(bench.group) == AugustBench::kViable);
  bool gone = false;
  REQUIRE(bench.machine.platform_bus().Unbind("vfio", Copier::kName, [&] { gone = true; }));
  CHECK_FALSE(gone);
  bench.Close(bench.group);
  CHECK(gone);
  CHECK(bench.Flags(bench.OpenGroup(2)) == 0);
}
