// What holds merged groups together, and what lets them go: nobody owns the set.
#include <catch2/catch.hpp>

#include "support/merge_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr std::string_view kAll[] = {"B0", "B1", "B2", "B3"};
constexpr u64 kIova = MergeBench::kIova;

// Two groups that are merged, and a page mapped for both.
struct Merged : MergeBench {
  explicit Merged(std::string_view revision) : MergeBench(revision) {
    first = OpenGroup(1);
    second = OpenGroup(2);
    Must(MergeBench::Merge(first, second) == 0);
    iommu = OpenIommu(first);
    Must(Map(iommu, kIova, kMemory) == 0);
  }
  int first, second, iommu;
};

}  // namespace

TEST_CASE("the first of two devices is closed: mappings of merged groups stay for the second",
          "[merge]") {
  for (const std::string_view revision : kAll) {
    Merged bench(revision);
    const int one = bench.OpenDevice(bench.first, kFirst);
    const int two = bench.OpenDevice(bench.first, kSecond);
    bench.Close(bench.iommu);
    bench.Close(one);
    bench.Close(bench.first);
    CHECK(bench.DmaWorks(kIova, kSecond));
    CHECK(bench.GetIommu(bench.second) >= 0);
    bench.Close(two);
  }
}

TEST_CASE("without a file of the IOMMU and of devices all mappings go, but not the merge",
          "[merge]") {
  for (const std::string_view revision : kAll) {
    Merged bench(revision);
    const int device = bench.OpenDevice(bench.first, kSecond);
    bench.Close(bench.iommu);
    CHECK(bench.DmaWorks(kIova, kSecond));
    bench.Close(device);
    CHECK_FALSE(bench.DmaWorks(kIova, kSecond));
    CHECK(bench.client.mm().locked_pages() == 0);
    bench.Close(bench.first);
    // Merged still: the one group leads to the other's device.
    CHECK(bench.GetDevice(bench.second, kFirst.ToString()) >= 0);
  }
}

TEST_CASE("with the last file of all groups the merge is undone", "[merge]") {
  for (const std::string_view revision : kAll) {
    Merged bench(revision);
    bench.Close(bench.iommu);
    bench.Close(bench.first);
    bench.Close(bench.second);
    const int group = bench.OpenGroup(1);
    CHECK(bench.GetDevice(group, kSecond.ToString()) == -ENODEV);
  }
}

TEST_CASE("a file of the IOMMU keeps a merge whose groups are closed", "[merge]") {
  Merged bench("B1");
  bench.Close(bench.first);
  bench.Close(bench.second);
  CHECK(bench.DmaWorks(kIova, kSecond));
  const int group = bench.OpenGroup(2);
  CHECK(bench.GetDevice(group, kFirst.ToString()) >= 0);
}

TEST_CASE("a merge without files leaves the IOMMU open until a file is closed", "[merge]") {
  MergeBench bench;
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2), again = bench.OpenGroup(2);
  REQUIRE(bench.Merge(first, second) == 0);
  CHECK(bench.Flags(first) == 3);
  bench.Close(again);
  CHECK(bench.Flags(first) == MergeBench::kViable);
}

TEST_CASE("the IOMMU's file goes on with the set that it came from", "[merge]") {
  Merged bench("B1");
  const int iommu = bench.OpenIommu(bench.second);
  REQUIRE(bench.Unmerge(bench.first, bench.second) == 0);
  CHECK(bench.Map(iommu, 2 * kIova, MergeBench::kMemory) == 0);
  CHECK(bench.DmaWorks(2 * kIova, kFirst));
  CHECK_FALSE(bench.DmaWorks(2 * kIova, kSecond));
}

TEST_CASE("unbinding waits until the IOMMU of the set is not used any more", "[merge]") {
  for (const std::string_view revision : kAll) {
    Merged bench(revision);
    bool gone = false;
    REQUIRE(bench.machine.pci_bus().Unbind("vfio", kSecond.ToString(), [&] { gone = true; }));
    CHECK_FALSE(gone);
    const int device = bench.OpenDevice(bench.first, kFirst);
    bench.Close(bench.iommu);
    CHECK_FALSE(gone);
    bench.Close(device);
    CHECK(gone);
    CHECK(bench.GetIommu(bench.first) == -EBUSY);
  }
}

TEST_CASE("unbinding from a group that is unmerged does not wait for the others", "[merge]") {
  Merged bench("B1");
  bool gone = false;
  REQUIRE(bench.machine.pci_bus().Unbind("vfio", kSecond.ToString(), [&] { gone = true; }));
  REQUIRE(bench.Unmerge(bench.first, bench.second) == 0);
  CHECK(gone);
}

TEST_CASE("unbinding one function may be what lets another of its group go", "[merge]") {
  MergeBench bench(
      "B1", {{kFirst, &fake_devices::kEdu, 1, "vfio"}, {kSecond, &fake_devices::kEdu, 1, "vfio"}});
  const int iommu = bench.OpenIommu(bench.OpenGroup(1));
  bool gone = false;
  PciBusType& bus = bench.machine.pci_bus();
  REQUIRE(bus.Unbind("vfio", kFirst.ToString(), [&] {
    static_cast<void>(bus.Unbind("vfio", kSecond.ToString(), [&] { gone = true; }));
  }));
  bench.Close(iommu);
  CHECK(gone);
}

TEST_CASE("a merge without any file is undone, also when the last one leaves by UNMERGE",
          "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision, {{kFirst, &fake_devices::kEdu, 1, "vfio"},
                                {kSecond, &fake_devices::kEdu, 2, "vfio"},
                                {kOnRootBus, &fake_devices::kEdu, 3, "vfio"}});
    const int first = bench.OpenGroup(1), second = bench.OpenGroup(2), third = bench.OpenGroup(3);
    REQUIRE(bench.Merge(second, first) == 0);
    REQUIRE(bench.Merge(second, third) == 0);
    bench.Close(first);
    bench.Close(third);
    // In October the group that is named leaves, and the one that stays is open.
    if (revision < "B2") continue;
    REQUIRE(bench.Unmerge(second, second) == 0);
    CHECK(bench.GetDevice(bench.OpenGroup(1), kOnRootBus.ToString()) == -ENODEV);
  }
}

TEST_CASE("an IOMMU that is open for nobody is closed when its last group leaves by UNMERGE",
          "[merge]") {
  MergeBench bench("B2");
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
  REQUIRE(bench.Merge(second, first) == 0);
  bench.Close(first);
  REQUIRE(bench.GetDevice(second, "nonsense") == -ENODEV);
  REQUIRE(bench.Unmerge(second, second) == 0);
  CHECK(bench.Flags(bench.OpenGroup(1)) == MergeBench::kViable);
}

TEST_CASE("a merge lock without files outlives an UNMERGE while a group is open", "[merge]") {
  MergeBench bench("B2");
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
  REQUIRE(bench.Merge(first, second) == 0);
  REQUIRE(bench.Unmerge(first, second) == 0);
  CHECK(bench.Flags(first) == (MergeBench::kViable | MergeBench::kMmLocked));
  CHECK(bench.Flags(second) == MergeBench::kViable);
}

TEST_CASE("a function that comes to a group in use is attached, and since December bound",
          "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision, {{kFirst, &fake_devices::kEdu, 1, "vfio"},
                                {kSecond, &fake_devices::kScratch, 1, ""}});
    bench.machine.pci_bus().Remove(bench.slot(kSecond), [] {});
    const int group = bench.OpenGroup(1);
    const int iommu = bench.OpenIommu(group);
    REQUIRE(bench.Map(iommu, kIova, MergeBench::kMemory) == 0);
    bench.machine.pci_bus().Rescan();
    CHECK(bench.DmaWorks(kIova, kSecond));
    CHECK(bench.slot(kSecond).driver() == (revision < "B2" ? "" : "vfio"));
    const long device = bench.GetDevice(group, kSecond.ToString());
    CHECK((device >= 0) == (revision >= "B2"));
    CHECK_FALSE(bench.slot(kSecond).driver_override());
  }
}

TEST_CASE("the node of a group goes with its last function, and the group leaves its set",
          "[merge]") {
  MergeBench bench;
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
  REQUIRE(bench.Merge(first, second) == 0);
  bench.Close(second);
  bench.machine.pci_bus().Remove(bench.slot(kSecond), [] {});
  CHECK(bench.TryGroup(2) == -ENOENT);
  CHECK(bench.Flags(first) == MergeBench::kViable);
  CHECK(bench.GetIommu(first) >= 0);
  bench.machine.pci_bus().Rescan();
  CHECK(bench.TryGroup(2) >= 0);
  CHECK(bench.GetDevice(first, kSecond.ToString()) == -ENODEV);
}

TEST_CASE("a group that is open outlives its last function", "[merge]") {
  MergeBench bench;
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
  REQUIRE(bench.Merge(first, second) == 0);
  bench.machine.pci_bus().Remove(bench.slot(kSecond), [] {});
  CHECK(bench.GetDevice(second, kFirst.ToString()) >= 0);
  const int again = bench.OpenGroup(2);
  bench.Close(second);
  bench.Close(again);
  CHECK(bench.TryGroup(2) == -ENOENT);
  bench.machine.pci_bus().Rescan();
  CHECK(bench.TryGroup(2) >= 0);
}
