// The proposals of August 2011, with each answer to the questions that were open.
#include <catch2/catch.hpp>

#include "support/august_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

using OwnerClose = AugustPolicies::OwnerClose;
using Join = AugustPolicies::JoinWithMappings;

// The second group is bound to the first, which has mapped a page.
struct Bound : AugustBench {
  explicit Bound(OwnerClose close)
      : AugustBench({.owner_close = close}), first(OpenGroup(1)), second(OpenGroup(2)) {
    Must(Map(first) == 0);
    Must(Give(second, kAugBind, {first}) == 0);
  }
  int first, second;
};

}  // namespace

TEST_CASE("memory that is mapped on a group is seen by its devices, and goes with its last file",
          "[august]") {
  AugustBench bench;
  const int group = bench.OpenGroup();
  REQUIRE(bench.Map(group) == 0);
  CHECK(bench.DmaWorks());
  CHECK(bench.Map(group) == -EBUSY);
  const int device = bench.OpenDevice(group);
  bench.Close(group);
  CHECK(bench.DmaWorks());
  bench.Close(device);
  CHECK_FALSE(bench.DmaWorks());
  CHECK(bench.client.mm().locked_pages() == 0);
}

TEST_CASE("mapping on a group: what is not there, not made of pages, too much", "[august]") {
  AugustBench bench;
  const int group = bench.OpenGroup();
  CHECK(bench.Ioctl(group, kAugGroupMap, 0xdead000) == -EFAULT);
  CHECK(bench.Map(group, AugustBench::kIova + 1) == -EINVAL);
  CHECK(bench.Map(group, AugustBench::kIova, 0x900000) == -EFAULT);
  bench.client.mm().set_lock_limit(0);
  CHECK(bench.Map(group) == -ENOMEM);
  AugustBench::DmaMap map{0, AugustBench::kIova, 100, 0};
  CHECK(bench.Ioctl(group, kAugGroupUnmap, map) == -EINVAL);
  map.size = kPageSize;
  CHECK(bench.Ioctl(group, kAugGroupUnmap, map) == 0);
}

TEST_CASE(
    "open always: a group that is not viable can be asked, but neither maps nor gives devices",
    "[august]") {
  AugustBench bench({}, AugustBench::HalfBound());
  const int group = bench.OpenGroup();
  CHECK(bench.Flags(group) == 0);
  CHECK(bench.Map(group) == -EBUSY);
  CHECK(bench.GetDevice(group, kFirst.ToString()) == -EBUSY);
  REQUIRE(bench.machine.pci_bus().Bind("vfio", kSecond.ToString()));
  CHECK(bench.Flags(group) == AugustBench::kViable);
  CHECK(bench.Map(group) == 0);
  CHECK(bench.GetDevice(group, "0000:09:00.0") == -ENODEV);
}

TEST_CASE("open viable: a group that is not is EBUSY", "[august]") {
  AugustBench bench({.open = AugustPolicies::Open::kViable}, AugustBench::HalfBound());
  CHECK(bench.Open("1") == -EBUSY);
  REQUIRE(bench.machine.pci_bus().Bind("vfio", kSecond.ToString()));
  CHECK(bench.Open("1") >= 0);
}

TEST_CASE("exclusive open: the second is EBUSY, until the first is closed", "[august]") {
  AugustBench bench;
  const int group = bench.OpenGroup();
  CHECK(bench.Open("1") == -EBUSY);
  bench.Close(group);
  CHECK(bench.Open("1") >= 0);
  AugustBench shared({.exclusive_open = false});
  shared.OpenGroup();
  CHECK(shared.Open("1") >= 0);
}

TEST_CASE("GROUP_BIND, GROUP_CAPTURE and DEVICE_INHERIT share the owner's memory", "[august]") {
  for (const u32 call : {kAugBind, kAugCapture, kAugInherit}) {
    AugustBench bench;
    const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
    REQUIRE(bench.Map(first) == 0);
    const int one = bench.OpenDevice(first), two = bench.OpenDevice(second, kSecond);
    CHECK_FALSE(bench.DmaWorks(kSecond));
    if (call == kAugBind) REQUIRE(bench.Give(second, call, {first}) == 0);
    if (call == kAugCapture) REQUIRE(bench.Give(first, call, {second}) == 0);
    if (call == kAugInherit) REQUIRE(bench.Give(two, call, {one}) == 0);
    CHECK(bench.DmaWorks(kSecond));
    CHECK(bench.Flags(first) == (AugustBench::kViable | AugustBench::kOwner));
    CHECK(bench.Flags(second) == (AugustBench::kViable | AugustBench::kBound));
    CHECK(bench.Map(second, 2 * AugustBench::kIova) == -EPERM);
    AugustBench::DmaMap map{0, AugustBench::kIova, kPageSize, 0};
    CHECK(bench.Ioctl(second, kAugGroupUnmap, map) == -EPERM);
  }
}

TEST_CASE("GROUP_BIND: what it refuses", "[august]") {
  AugustBench bench({}, {{kFirst, &fake_devices::kEdu, 1, "vfio"},
                         {kSecond, &fake_devices::kEdu, 2, "vfio"},
                         {kOnRootBus, &fake_devices::kEdu, 3, "vfio"}});
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2), third = bench.OpenGroup(3);
  CHECK(bench.Ioctl(second, kAugBind, 0xdead000) == -EFAULT);
  CHECK(bench.Give(second, kAugBind, {999}) == -EBADF);
  CHECK(bench.Give(second, kAugBind, {bench.client.AddForeignFile()}) == -EINVAL);
  CHECK(bench.Give(second, kAugBind, {second}) == -EINVAL);
  REQUIRE(bench.Give(second, kAugBind, {first}) == 0);
  CHECK(bench.Give(second, kAugBind, {first}) == -EINVAL);
  CHECK(bench.Give(third, kAugBind, {second}) == -EINVAL);
  CHECK(bench.Give(first, kAugBind, {third}) == -EINVAL);
  const int device = bench.OpenDevice(first);
  CHECK(bench.Give(device, kAugInherit, {first}) == -EINVAL);
}

TEST_CASE("GROUP_BIND of a group that is not viable is EBUSY", "[august]") {
  AugustBench bench(
      {}, {{kFirst, &fake_devices::kEdu, 1, "vfio"}, {kSecond, &fake_devices::kEdu, 2, ""}});
  CHECK(bench.Give(bench.OpenGroup(2), kAugBind, {bench.OpenGroup(1)}) == -EBUSY);
}

TEST_CASE("joining with mappings: refused, dropped, or taken along if they fit", "[august]") {
  for (const Join join : {Join::kRefuse, Join::kDrop, Join::kMerge}) {
    AugustBench bench({.join_with_mappings = join});
    const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
    REQUIRE(bench.Map(first, AugustBench::kIova) == 0);
    REQUIRE(bench.Map(second, 2 * AugustBench::kIova) == 0);
    CHECK(bench.Give(second, kAugBind, {first}) == (join == Join::kRefuse ? -EBUSY : 0));
    CHECK(bench.DmaWorks(kFirst, 2 * AugustBench::kIova) == (join == Join::kMerge));
    CHECK(bench.client.mm().locked_pages() == (join == Join::kDrop ? 1 : 2));
  }
  AugustBench bench({.join_with_mappings = Join::kMerge});
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
  REQUIRE(bench.Map(first) == 0);
  REQUIRE(bench.Map(second) == 0);
  CHECK(bench.Give(second, kAugBind, {first}) == -EBUSY);
  CHECK(bench.Flags(second) == AugustBench::kViable);
}

TEST_CASE("close of the owner, refuse: it stays until the last group that is bound has gone",
          "[august]") {
  Bound bench(OwnerClose::kRefuse);
  CHECK(bench.Ioctl(bench.first, kAugRelease) == -EBUSY);
  bench.Close(bench.first);
  CHECK(bench.DmaWorks(kSecond));
  const int again = bench.OpenGroup(1);
  CHECK(bench.Flags(again) == (AugustBench::kViable | AugustBench::kOwner));
  bench.Close(again);
  bench.Close(bench.second);
  CHECK(bench.client.mm().locked_pages() == 0);
  CHECK(bench.Flags(bench.OpenGroup(1)) == AugustBench::kViable);
}

TEST_CASE("close of the owner, reset the children: they start anew, with nothing mapped",
          "[august]") {
  for (const bool by_release : {false, true}) {
    Bound bench(OwnerClose::kResetChildren);
    const int device = bench.OpenDevice(bench.second, kSecond);
    bench.Store<u32>(device, 4, 0x12345678);
    if (by_release)
      REQUIRE(bench.Ioctl(bench.first, kAugRelease) == 0);
    else
      bench.Close(bench.first);
    CHECK_FALSE(bench.DmaWorks(kSecond));
    CHECK(bench.Load<u32>(device, 4) != ~u32{0x12345678});
    CHECK(bench.Flags(bench.second) == AugustBench::kViable);
    CHECK(bench.Map(bench.second) == 0);
    CHECK(bench.client.mm().locked_pages() == (by_release ? 2 : 1));
  }
}

TEST_CASE("close of the owner, promote: the first that is bound takes its place", "[august]") {
  for (const bool by_release : {false, true}) {
    Bound bench(OwnerClose::kPromote);
    if (by_release)
      REQUIRE(bench.Ioctl(bench.first, kAugRelease) == 0);
    else
      bench.Close(bench.first);
    CHECK(bench.DmaWorks(kSecond));
    CHECK_FALSE(bench.DmaWorks(kFirst));
    CHECK(bench.Flags(bench.second) == AugustBench::kViable);
    CHECK(bench.Map(bench.second, 2 * AugustBench::kIova) == 0);
  }
}

TEST_CASE("GROUP_RELEASE: of a bound group, whose devices are closed", "[august]") {
  Bound bench(OwnerClose::kRefuse);
  const int device = bench.OpenDevice(bench.second, kSecond);
  CHECK(bench.Ioctl(bench.second, kAugRelease) == -EBUSY);
  bench.Close(device);
  REQUIRE(bench.Ioctl(bench.second, kAugRelease) == 0);
  CHECK_FALSE(bench.DmaWorks(kSecond));
  CHECK(bench.DmaWorks(kFirst));
  CHECK(bench.Ioctl(bench.second, kAugRelease) == -EINVAL);
}

TEST_CASE("a bound group that is closed leaves its owner", "[august]") {
  Bound bench(OwnerClose::kRefuse);
  bench.Close(bench.second);
  CHECK(bench.Flags(bench.first) == AugustBench::kViable);
  CHECK_FALSE(bench.DmaWorks(kSecond));
}

TEST_CASE("uiommu kept: a second context in one group is EBUSY", "[august]") {
  AugustBench bench(
      {.dma = AugustPolicies::Dma::kUiommu},
      {{kFirst, &fake_devices::kEdu, 1, "vfio"}, {kSecond, &fake_devices::kEdu, 1, "vfio"}});
  const int group = bench.OpenGroup();
  const int one = bench.OpenDevice(group), two = bench.OpenDevice(group, kSecond);
  const int domain = static_cast<int>(bench.OpenInDev("uiommu"));
  const int other = static_cast<int>(bench.OpenInDev("uiommu"));
  CHECK(bench.Map(one, AugustBench::kIova, AugustBench::kMemory, kAugDeviceMap) == -EINVAL);
  CHECK(bench.Ioctl(one, kAugSetUiommu, 0xdead000) == -EFAULT);
  CHECK(bench.Give(one, kAugSetUiommu, {999}) == -EBADF);
  CHECK(bench.Give(one, kAugSetUiommu, {group}) == -EINVAL);
  REQUIRE(bench.Give(one, kAugSetUiommu, {domain}) == 0);
  CHECK(bench.Give(one, kAugSetUiommu, {domain}) == -EBUSY);
  CHECK(bench.Give(two, kAugSetUiommu, {other}) == -EBUSY);
  REQUIRE(bench.Give(two, kAugSetUiommu, {domain}) == 0);
  REQUIRE(bench.Map(one, AugustBench::kIova, AugustBench::kMemory, kAugDeviceMap) == 0);
  CHECK(bench.DmaWorks(kSecond));
  bench.Close(one);
  CHECK(bench.DmaWorks(kSecond));
  REQUIRE(bench.Give(two, kAugSetUiommu, {-1}) == 0);
  CHECK_FALSE(bench.DmaWorks(kSecond));
  CHECK(bench.client.mm().locked_pages() == 0);
  CHECK(bench.Give(two, kAugSetUiommu, {other}) == 0);
}

TEST_CASE("policies decide which calls there are: others are ENOTTY", "[august]") {
  AugustBench group, uiommu({.dma = AugustPolicies::Dma::kUiommu});
  const auto both = [](AugustBench& bench) {
    const int opened = bench.OpenGroup();
    return std::pair{opened, bench.OpenDevice(opened)};
  };
  const auto [g1, d1] = both(group);
  const auto [g2, d2] = both(uiommu);
  for (const u32 call : {kAugSetUiommu, kAugDeviceMap, kAugDeviceUnmap, kAugBarFd, kAugConfigFd})
    CHECK(group.Ioctl(d1, call, Bench::kArguments) == -ENOTTY);
  for (const u32 call : {kAugGroupMap, kAugGroupUnmap, kAugBind, kAugCapture, kAugRelease})
    CHECK(uiommu.Ioctl(g2, call, Bench::kArguments) == -ENOTTY);
  CHECK(uiommu.Ioctl(d2, kAugInherit, Bench::kArguments) == -ENOTTY);
  CHECK(group.Ioctl(g1, 0x3bff) == -ENOTTY);
  CHECK(group.OpenInDev("uiommu") == -ENOENT);
  CHECK(uiommu.OpenInDev("uiommu") >= 0);
}

TEST_CASE("segmented: regions are ranges of the device's descriptor", "[august]") {
  AugustBench bench;
  const int device = bench.OpenDevice(bench.OpenGroup());
  struct {
    u32 index = 7, flags = 9;
    u64 size = 0, offset = 0;
  } info;
  REQUIRE(bench.Ioctl(device, kAugRegionInfo, info) == 0);
  CHECK(info.offset == u64{7} << 40);
  CHECK(info.size == bench.slot().config().size());
  CHECK(info.flags == 0);
  info.index = 0;
  REQUIRE(bench.Ioctl(device, kAugRegionInfo, info) == 0);
  CHECK(info.flags == 1);
  CHECK(bench.Mmap(device, 0, kPageSize) == 0);
  info.index = 8;
  CHECK(bench.Ioctl(device, kAugRegionInfo, info) == -EINVAL);
  CHECK(bench.Load<u32>(device, kConfig) == 0x11e81234);
}

TEST_CASE("descriptors: each region has its own, which keeps the device open", "[august]") {
  AugustBench bench({.regions = AugustPolicies::Regions::kDescriptors});
  const int device = bench.OpenDevice(bench.OpenGroup());
  CHECK(bench.Give(device, kAugBarFd, {1}) == -EINVAL);
  CHECK(bench.Give(device, kAugBarFd, {7}) == -EINVAL);
  const int bar = static_cast<int>(bench.Give(device, kAugBarFd, {0}));
  const int config = static_cast<int>(bench.Ioctl(device, kAugConfigFd));
  CHECK(bench.Load<u32>(config, 0) == 0x11e81234);
  CHECK(bench.Mmap(device, 0, kPageSize) == -EINVAL);
  CHECK_FALSE(bench.client.file(device)->can_transfer());
  bench.Close(device);
  bench.Store<u32>(bar, 4, 0x12345678);
  CHECK(bench.Load<u32>(bar, 4) == ~u32{0x12345678});
  CHECK(bench.Mmap(bar, 0, kPageSize) == 0);
  u32 word = 0;
  CHECK(bench.BusLoad(bar, 4, BytesOf(word)) == 4);
  CHECK(word == ~u32{0x12345678});
  CHECK(bench.Read(bar, u64{1} << 41, BytesOf(word)) == -EINVAL);
  CHECK(bench.Mmap(config, 0, kPageSize) == -EINVAL);
}

TEST_CASE("a device of August tells what it has, and signals eventfds by index", "[august]") {
  AugustBench bench({}, {{kFirst, &fake_devices::kEdu, 1, "vfio", {{"msix_vectors", 2}}}});
  const int device = bench.OpenDevice(bench.OpenGroup());
  struct {
    u32 flags, regions, irqs, reserved;
  } info{};
  REQUIRE(bench.Ioctl(device, kAugInfo, info) == 0);
  CHECK((info.flags == 3 && info.regions == 8 && info.irqs == 3));
  struct {
    u32 index, count, flags, reserved;
  } irq{};
  REQUIRE(bench.Ioctl(device, kAugIrqInfo, irq) == 0);
  CHECK((irq.count == 1 && irq.flags == 1));
  irq.index = 2;
  REQUIRE(bench.Ioctl(device, kAugIrqInfo, irq) == 0);
  CHECK((irq.count == 2 && irq.flags == 0));
  irq.index = 3;
  CHECK(bench.Ioctl(device, kAugIrqInfo, irq) == -EINVAL);
  const int eventfd = bench.client.AddEventfd();
  CHECK(bench.Give(device, kAugSetEventfds, {3, 1, eventfd}) == -EINVAL);
  CHECK(bench.Give(device, kAugSetEventfds, {0, -1}) == -EINVAL);
  REQUIRE(bench.Give(device, kAugSetEventfds, {0, 1, eventfd}) == 0);
  bench.Store<u32>(device, 0x60, 1);
  CHECK(bench.client.Signals(eventfd) == 1);
  bench.Store<u32>(device, 0x64, 1);
  CHECK(bench.Give(device, kAugUnmask, {1}) == -EINVAL);
  CHECK(bench.Give(device, kAugUnmask, {0}) == 0);
  CHECK(bench.Ioctl(device, kAugReset) == 0);
}

TEST_CASE("unbinding waits until the group is not used any more", "[august]") {
  Bound bench(OwnerClose::kRefuse);
  bool gone = false;
  REQUIRE(bench.machine.pci_bus().Unbind("vfio", kFirst.ToString(), [&] { gone = true; }));
  bench.Close(bench.first);
  CHECK_FALSE(gone);
  bench.Close(bench.second);
  CHECK(gone);
}
