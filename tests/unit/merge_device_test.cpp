// A device's descriptor of October 2011 to January 2012: what it tells, regions, reset.
#include <catch2/catch.hpp>

#include "support/merge_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr std::string_view kAll[] = {"B0", "B1", "B2", "B3"};

struct WithDevice : MergeBench {
  explicit WithDevice(std::string_view revision,
                      std::vector<Placed> devices = Only(fake_devices::kEdu, {{"msix_vectors", 4}}))
      : MergeBench(revision, std::move(devices)),
        device(OpenDevice(OpenGroup(), machine.devices().begin()->first)) {}

  struct Region {
    u64 size, offset;
    u32 flags;
  };
  // The errno, or 0 and what it says.
  long Info(u32 index, Region& region, u32 length = 32) {
    if (!has_argsz()) {
      struct {
        u32 length, index;
        u64 size, offset, flags, physical;
      } info{length, index, 0, 0, 0, 7};
      const long result = Ioctl(device, n.region_info, info);
      region = {info.size, info.offset, static_cast<u32>(info.flags)};
      return result;
    }
    struct {
      u32 argsz, flags, index, reserved;
      u64 size, offset;
    } info{length, 0xff, index, 0, 0, 0};
    const long result = Ioctl(device, n.region_info, info);
    region = {info.size, info.offset, info.flags};
    return result;
  }
  int device;
};

}  // namespace

TEST_CASE("DEVICE_GET_FLAGS: PCI, and whether it could be reset when it was opened", "[merge]") {
  for (const std::string_view revision : {"B0", "B1"}) {
    WithDevice bench(revision);
    CHECK(bench.Ioctl(bench.device, bench.n.device_flags, 0xdead000) == -EFAULT);
    REQUIRE(bench.Ioctl(bench.device, bench.n.device_flags, Bench::kArguments) == 0);
    CHECK(bench.client.mm().Get<u64>(Bench::kArguments) == 5);
    WithDevice fixed(revision, {{kOnRootBus, &fake_devices::kEdu, 1, "vfio"}});
    REQUIRE(fixed.Ioctl(fixed.device, fixed.n.device_flags, Bench::kArguments) == 0);
    CHECK(fixed.client.mm().Get<u64>(Bench::kArguments) == 1);
  }
}

TEST_CASE("DEVICE_GET_NUM_REGIONS and DEVICE_GET_NUM_IRQS: eight and three", "[merge]") {
  WithDevice bench("B1");
  REQUIRE(bench.Ioctl(bench.device, bench.n.num_regions, Bench::kArguments) == 0);
  CHECK(bench.Word(0) == 8);
  REQUIRE(bench.Ioctl(bench.device, bench.n.num_irqs, Bench::kArguments) == 0);
  CHECK(bench.Word(0) == 3);
  CHECK(bench.Ioctl(bench.device, bench.n.num_irqs, 0xdead000) == -EFAULT);
}

TEST_CASE("DEVICE_GET_INFO has both numbers, and the flags in another order", "[merge]") {
  for (const std::string_view revision : {"B2", "B3"}) {
    WithDevice bench(revision);
    CHECK(bench.Give(bench.device, bench.n.device_flags, {15, 0, 0, 0}) == -EINVAL);
    REQUIRE(bench.Give(bench.device, bench.n.device_flags, {16, 0xff, 0, 0}) == 0);
    CHECK(bench.Word(1) == 3);
    CHECK(bench.Word(2) == 8);
    CHECK(bench.Word(3) == 3);
  }
}

TEST_CASE("DEVICE_GET_REGION_INFO: where a region is, how long, and what can be done", "[merge]") {
  for (const std::string_view revision : kAll) {
    WithDevice bench(revision);
    WithDevice::Region region{};
    REQUIRE(bench.Info(0, region) == 0);
    CHECK(region.size == 1_MiB);
    CHECK(region.offset == 0);
    CHECK(region.flags == 1);
    REQUIRE(bench.Info(1, region) == 0);
    CHECK(region.size == 0);
    CHECK(region.flags == 0);
    REQUIRE(bench.Info(6, region) == 0);
    CHECK(region.flags == 2);
    REQUIRE(bench.Info(7, region) == 0);
    CHECK(region.size == bench.slot().config().size());
    CHECK(region.offset == u64{7} << 40);
    CHECK(bench.Info(8, region) == -EINVAL);
    CHECK(bench.Info(0, region, 31) == -EINVAL);
    CHECK(bench.Ioctl(bench.device, bench.n.region_info, 0xdead000) == -EFAULT);
  }
}

TEST_CASE("DEVICE_GET_REGION_INFO in October takes 32 to 40 bytes, and leaves the rest",
          "[merge]") {
  WithDevice bench("B1");
  WithDevice::Region region{};
  CHECK(bench.Info(0, region, 40) == 0);
  CHECK(bench.Info(0, region, 41) == -EINVAL);
  CHECK(bench.Info(0, region, 36) == 0);
  CHECK(bench.client.mm().Get<u64>(Bench::kArguments + 32) == 7);
}

TEST_CASE("a region that the client cannot map has no flag that says so", "[merge]") {
  WithDevice bench("B2");
  bench.client.can_trap_registers = false;
  WithDevice::Region region{};
  REQUIRE(bench.Info(0, region) == 0);
  CHECK(region.flags == 0);
  CHECK(bench.Mmap(bench.device, 0, kPageSize) == -EINVAL);
}

TEST_CASE("BARs of ports, and what is smaller than a page", "[merge]") {
  WithDevice bench("B2", MergeBench::Only(kPlenty));
  WithDevice::Region region{};
  REQUIRE(bench.Info(2, region) == 0);
  CHECK((region.size == 32 && region.flags == 0));
  CHECK(bench.Mmap(bench.device, Region(2), kPageSize) == -EINVAL);
}

TEST_CASE("descriptors are made for reading and writing, and stay open across exec", "[merge]") {
  MergeBench bench;
  const int group = bench.OpenGroup();
  Reply reply =
      bench.door.Ioctl(bench.now, bench.client, *bench.client.file(group), bench.n.iommu_fd, 0);
  CHECK(reply.completion().open_flags == O_RDWR);
}

TEST_CASE("DEVICE_RESET: EINVAL where it could not be reset when it was opened", "[merge]") {
  for (const std::string_view revision : kAll) {
    WithDevice bench(revision);
    CHECK(bench.Ioctl(bench.device, bench.n.reset) == 0);
    WithDevice fixed(revision, {{kOnRootBus, &fake_devices::kEdu, 1, "vfio"}});
    CHECK(fixed.Ioctl(fixed.device, fixed.n.reset) == -EINVAL);
  }
}

TEST_CASE("regions are read and written at their offsets, with nothing asked before", "[merge]") {
  for (const std::string_view revision : kAll) {
    WithDevice bench(revision);
    CHECK((bench.Load<u32>(bench.device, 0) & 0xff) == 0xed);
    CHECK(bench.Load<u32>(bench.device, kConfig) == 0x11e81234);
    bench.Store<u32>(bench.device, 4, 0x12345678);
    CHECK(bench.Load<u32>(bench.device, 4) == ~u32{0x12345678});
  }
}

TEST_CASE("reads and writes where nothing is: EINVAL, and so is the write of a ROM", "[merge]") {
  WithDevice bench("B2");
  u32 word = 0;
  CHECK(bench.Read(bench.device, u64{8} << 40, BytesOf(word)) == -EINVAL);
  CHECK(bench.Read(bench.device, u64{17} << 40, BytesOf(word)) == -EINVAL);
  CHECK(bench.Read(bench.device, Region(1), BytesOf(word)) == -EINVAL);
  CHECK(bench.Read(bench.device, Region(6), BytesOf(word)) == -EINVAL);
  CHECK(bench.Write(bench.device, Region(6), BytesOf(word)) == -EINVAL);
  CHECK(bench.Read(bench.device, 1_MiB, BytesOf(word)) == 0);
  CHECK(bench.Read(bench.device, 1_MiB + 1, BytesOf(word)) == -EINVAL);
}

TEST_CASE("mapping a BAR: shared, of memory, and inside, from whichever page", "[merge]") {
  for (const std::string_view revision : kAll) {
    WithDevice bench(revision);
    CHECK(bench.Mmap(bench.device, 0, kPageSize, false) == -EINVAL);
    CHECK(bench.Mmap(bench.device, Region(1), kPageSize) == -EINVAL);
    CHECK(bench.Mmap(bench.device, Region(6), kPageSize) == -EINVAL);
    CHECK(bench.Mmap(bench.device, kConfig, kPageSize) == -EINVAL);
    CHECK(bench.Mmap(bench.device, 0, 1_MiB) == 0);
    CHECK(bench.Mmap(bench.device, kPageSize, 1_MiB) == -EINVAL);
    CHECK(bench.Mmap(bench.device, 1_MiB - kPageSize, kPageSize) == 0);
  }
}

TEST_CASE("mapping the MSI-X table is EINVAL since December", "[merge]") {
  for (const std::string_view revision : kAll) {
    WithDevice bench(revision);
    const PciIdentity& identity = bench.slot().device().identity();
    const u64 bar = Region(identity.msix_bar);
    CHECK(bench.Mmap(bench.device, bar, kPageSize) == (revision < "B2" ? 0 : -EINVAL));
    CHECK(bench.Mmap(bench.device, 0, kPageSize) == 0);
    // A write of it is no offence.
    bench.Store<u32>(bench.device, bar + identity.msix_table_offset, 0);
  }
}

TEST_CASE("the first file of a device resets it, the last one gives it back as it was", "[merge]") {
  MergeBench bench("B1", MergeBench::Only(fake_devices::kEdu));
  const int group = bench.OpenGroup();
  const int device = bench.OpenDevice(group), again = bench.OpenDevice(group);
  bench.Store<u32>(device, 4, 0x12345678);
  CHECK(bench.Load<u32>(again, 4) == ~u32{0x12345678});
  bench.Store<u16>(device, kConfig + PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  bench.Close(device);
  CHECK(bench.Load<u32>(again, 4) == ~u32{0x12345678});
  bench.Close(again);
  CHECK((bench.slot().config().Get(PCI_COMMAND, 2) & PCI_COMMAND_MASTER) == 0);
  bench.slot().config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER,
                                true);  // that of a driver before
  bench.Close(bench.OpenDevice(group));
  CHECK((bench.slot().config().Get(PCI_COMMAND, 2) & PCI_COMMAND_MASTER) == 0);
  CHECK(bench.Load<u32>(bench.OpenDevice(group), 4) != ~u32{0x12345678});
}
