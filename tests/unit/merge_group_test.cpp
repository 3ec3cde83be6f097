// Groups of October 2011 to January 2012: who may use them, and how they are merged.
#include <catch2/catch.hpp>

#include "support/merge_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr std::string_view kAll[] = {"B0", "B1", "B2", "B3"};
constexpr std::string_view kWithFlags[] = {"B1", "B2", "B3"};

std::vector<Placed> ThreeEdus() {
  return {{kFirst, &fake_devices::kEdu, 1, "vfio"},
          {kSecond, &fake_devices::kEdu, 2, "vfio"},
          {kOnRootBus, &fake_devices::kEdu, 3, "vfio"}};
}

// The same client with another mm: what a process sees that has got its descriptors.
void BecomeAnother(MergeBench& bench) {
  bench.client.Exec();
  bench.client.mm().Map(Bench::kArguments, kPageSize);
  bench.client.mm().Map(MergeBench::kMemory, 16 * kPageSize);
}

}  // namespace

TEST_CASE("a node of a group is called by its number, since December with the bus before",
          "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision);
    CHECK(bench.Open("1") == (revision < "B2" ? 3 : -ENOENT));
    CHECK(bench.Open("pci:1") == (revision < "B2" ? -ENOENT : 3));
    CHECK(bench.Open("vfio") == -ENOENT);
  }
}

TEST_CASE("a group of merging interfaces has a node whatever its functions are bound to",
          "[merge]") {
  MergeBench bench(
      "B1", {{kFirst, &fake_devices::kEdu, 1, "edu"}, {kSecond, &fake_devices::kEdu, 2, ""}});
  CHECK(bench.TryGroup(1) >= 0);
  CHECK(bench.TryGroup(2) >= 0);
}

TEST_CASE("opening a group: any number of times, viable or not", "[merge]") {
  MergeBench bench("B1", {{kFirst, &fake_devices::kEdu, 1, ""}});
  bench.OpenGroup();
  CHECK(bench.TryGroup(1) >= 0);
}

TEST_CASE("GROUP_GET_FLAGS and GROUP_GET_INFO: viable when each function is bound to vfio",
          "[merge]") {
  for (const std::string_view revision : kWithFlags) {
    MergeBench bench(revision, {{kFirst, &fake_devices::kEdu, 1, "vfio"},
                                {kSecond, &fake_devices::kEdu, 1, ""}});
    const int group = bench.OpenGroup();
    CHECK(bench.Flags(group) == 0);
    REQUIRE(bench.machine.pci_bus().Bind("vfio", kSecond.ToString()));
    CHECK(bench.Flags(group) == MergeBench::kViable);
  }
}

TEST_CASE("GROUP_GET_FLAGS and GROUP_GET_INFO: locked as soon as the IOMMU is open, by whomever",
          "[merge]") {
  for (const std::string_view revision : kWithFlags) {
    MergeBench bench(revision);
    const int group = bench.OpenGroup();
    const int iommu = bench.OpenIommu(group);
    CHECK(bench.Flags(group) == (MergeBench::kViable | MergeBench::kMmLocked));
    bench.Close(iommu);
    CHECK(bench.Flags(group) == MergeBench::kViable);
  }
}

TEST_CASE("GROUP_GET_FLAGS: viability is that of the whole set", "[merge]") {
  MergeBench bench;
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
  REQUIRE(bench.Merge(first, second) == 0);
  REQUIRE(bench.machine.pci_bus().Unbind("vfio", kSecond.ToString(), [] {}));
  CHECK((bench.Flags(first) & MergeBench::kViable) == 0);
}

TEST_CASE("GROUP_GET_FLAGS and GROUP_GET_INFO: what they refuse", "[merge]") {
  MergeBench october("B1"), december("B2");
  CHECK(october.Ioctl(october.OpenGroup(), october.n.group_flags, 0xdead000) == -EFAULT);
  const int group = december.OpenGroup();
  CHECK(december.Ioctl(group, december.n.group_flags, 0xdead000) == -EFAULT);
  CHECK(december.Give(group, december.n.group_flags, {7, 0}) == -EINVAL);
}

TEST_CASE("GROUP_GET_INFO adds its flags to those that the client has there", "[merge]") {
  MergeBench bench("B2");
  REQUIRE(bench.Give(bench.OpenGroup(), bench.n.group_flags, {8, 0xf0}) == 0);
  CHECK(bench.Word(1) == (0xf0 | MergeBench::kViable));
}

TEST_CASE("GROUP_GET_IOMMU_FD: not viable is EBUSY", "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision, {{kFirst, &fake_devices::kEdu, 1, "vfio"},
                                {kSecond, &fake_devices::kEdu, 1, ""}});
    const int group = bench.OpenGroup();
    CHECK(bench.GetIommu(group) == -EBUSY);
    CHECK(bench.GetDevice(group, kFirst.ToString()) == -EBUSY);
    CHECK(bench.Ioctl(group, bench.n.device_fd, 0xdead000) == -EFAULT);
  }
}

TEST_CASE("GROUP_GET_IOMMU_FD: without interrupt remapping EFAULT in October, unless allowed",
          "[merge]") {
  Iommu iommu = VtdIommu();
  iommu.interrupt_isolation = false;
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision, MergeBench::TwoEdus(), iommu);
    const int group = bench.OpenGroup();
    const long got = bench.GetIommu(group);
    CHECK((revision < "B2" ? got == -EFAULT : got >= 0));
    if (revision < "B2") {
      CHECK(bench.GetDevice(group, kFirst.ToString()) == -EFAULT);
      CHECK(bench.Merge(group, bench.OpenGroup(2)) == -EFAULT);
    }
    bench.machine.parameters().allow_unsafe_intrs = 1;
    CHECK(bench.GetIommu(group) >= 0);
  }
}

TEST_CASE("GROUP_GET_IOMMU_FD gives a new descriptor of the same IOMMU each time", "[merge]") {
  MergeBench bench;
  const int group = bench.OpenGroup();
  const int one = bench.OpenIommu(group), two = bench.OpenIommu(group);
  CHECK(one != two);
  REQUIRE(bench.Map(one, MergeBench::kIova, MergeBench::kMemory) == 0);
  CHECK(bench.Map(two, MergeBench::kIova, MergeBench::kMemory) == -EBUSY);
}

TEST_CASE("GROUP_GET_DEVICE_FD: a bad name", "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision);
    const int group = bench.OpenGroup();
    CHECK(bench.Ioctl(group, bench.n.device_fd, 0xdead000) == -EFAULT);
    bench.client.mm().Map(0x800000, 2 * kPageSize);
    bench.client.mm().Poke(0x800000, std::vector<std::byte>(2 * kPageSize, std::byte{'x'}));
    CHECK(bench.Ioctl(group, bench.n.device_fd, 0x800000) == -EINVAL);
    bench.client.mm().Put<char>(0x800000 + 4096, 0);
    CHECK(bench.Ioctl(group, bench.n.device_fd, 0x800000) == -EINVAL);
    bench.client.mm().Put<char>(0x800000 + 4095, 0);
    CHECK(bench.Ioctl(group, bench.n.device_fd, 0x800000) == -ENODEV);
    CHECK(bench.GetDevice(group, "0000:01:00.1") == -ENODEV);
    CHECK(bench.GetDevice(group, "01:00.0") == -ENODEV);
    CHECK(bench.GetDevice(group, "0000:01:00.0 ") == -ENODEV);
    CHECK(bench.GetDevice(group, kSecond.ToString()) == -ENODEV);
  }
}

TEST_CASE("GROUP_GET_DEVICE_FD finds functions of all merged groups, and gives each file again",
          "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision);
    const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
    REQUIRE(bench.Merge(first, second) == 0);
    CHECK(bench.GetDevice(second, kFirst.ToString()) >= 0);
    CHECK(bench.GetDevice(first, kFirst.ToString()) >= 0);
    CHECK(bench.GetDevice(first, kSecond.ToString()) >= 0);
  }
}

TEST_CASE("once the IOMMU is open, other processes get EPERM of all but questions", "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision);
    const int group = bench.OpenGroup(), other = bench.OpenGroup(2);
    const int iommu = bench.OpenIommu(group);
    BecomeAnother(bench);
    CHECK(bench.GetIommu(group) == -EPERM);
    CHECK(bench.GetDevice(group, kFirst.ToString()) == -EPERM);
    CHECK(bench.Merge(group, other) == -EPERM);
    CHECK(bench.Ioctl(group, bench.n.merge, 0xdead000) == -EPERM);
    CHECK(bench.Unmerge(group, group) == -EPERM);
    CHECK(bench.Ioctl(group, 0x3bff) == -EPERM);
    // What other revisions ask by is a number like any other.
    for (const u32 asks : {0x80083b64u, 0x3b64u})
      if (asks != bench.n.group_flags) CHECK(bench.Ioctl(group, asks, Bench::kArguments) == -EPERM);
    if (revision >= "B1") CHECK(bench.Flags(group) == 3);
    // The other descriptors do not ask who calls.
    CHECK(bench.Map(iommu, MergeBench::kIova, MergeBench::kMemory) == 0);
    bench.Close(iommu);
    CHECK(bench.GetIommu(group) >= 0);
  }
}

TEST_CASE("who opens the IOMMU while another call waits for its client has it alone", "[merge]") {
  for (const std::string_view revision : kAll) {
    for (const bool merge : {false, true}) {
      MergeBench bench(revision);
      FakeClient other(200);
      other.mm().Map(Bench::kArguments, kPageSize);
      const int group = bench.OpenGroup(1), second = bench.OpenGroup(2);
      const int theirs = other.AddOpenFile(bench.client.file(group));
      // It comes back with a descriptor that keeps the IOMMU open.
      std::shared_ptr<OpenFile> iommu;
      bench.client.mm().meanwhile = [&] {
        Reply reply = bench.door.Ioctl(bench.now, other, *other.file(theirs), bench.n.iommu_fd, 0);
        iommu = reply.completion().opened;
      };
      const long result =
          merge ? bench.Merge(group, second) : bench.GetDevice(group, kFirst.ToString());
      REQUIRE(iommu != nullptr);
      CHECK(result == -EPERM);
    }
  }
}

TEST_CASE("GROUP_MERGE: what is no descriptor of another group", "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision);
    const int group = bench.OpenGroup();
    CHECK(bench.Ioctl(group, bench.n.merge, 0xdead000) == -EFAULT);
    CHECK(bench.Merge(group, -1) == -EINVAL);
    CHECK(bench.Merge(group, 999) == -EBADF);
    CHECK(bench.Merge(group, bench.client.AddForeignFile()) == -EINVAL);
    CHECK(bench.Merge(group, group) == -EINVAL);
    CHECK(bench.Merge(group, bench.OpenGroup(1)) == -EINVAL);
  }
}

TEST_CASE("GROUP_MERGE: a group whose IOMMU is open is EINVAL, one that is open itself is not",
          "[merge]") {
  MergeBench bench;
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
  const int iommu = bench.OpenIommu(second);
  CHECK(bench.Merge(first, second) == -EINVAL);
  bench.Close(iommu);
  bench.OpenIommu(first);
  CHECK(bench.Merge(first, second) == 0);
}

TEST_CASE("GROUP_MERGE: a group that is not viable is EBUSY", "[merge]") {
  MergeBench bench(
      "B1", {{kFirst, &fake_devices::kEdu, 1, "vfio"}, {kSecond, &fake_devices::kEdu, 2, ""}});
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
  CHECK(bench.Merge(first, second) == -EBUSY);
  CHECK(bench.Flags(first) == MergeBench::kViable);
  // The kernel leaves the IOMMU of the one open that was fine.
  CHECK(bench.Merge(second, first) == -EBUSY);
  CHECK(bench.Flags(first) == (MergeBench::kViable | MergeBench::kMmLocked));
  CHECK(bench.Merge(second, first) == -EINVAL);
}

TEST_CASE("GROUP_MERGE: groups that are merged already are EINVAL", "[merge]") {
  MergeBench bench("B1", ThreeEdus());
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2), third = bench.OpenGroup(3);
  REQUIRE(bench.Merge(first, second) == 0);
  CHECK(bench.Merge(first, second) == -EINVAL);
  CHECK(bench.Merge(second, first) == -EINVAL);
  CHECK(bench.Merge(third, second) == -EINVAL);
  CHECK(bench.Merge(second, third) == 0);
  // Its IOMMU is closed again, and it is still in the set.
  bench.Close(bench.OpenIommu(first));
  CHECK(bench.Merge(first, third) == -EINVAL);
}

TEST_CASE("GROUP_MERGE lets the newcomer use the mappings that there are, and locks the set",
          "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision);
    const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
    const int iommu = bench.OpenIommu(first);
    REQUIRE(bench.Map(iommu, MergeBench::kIova, MergeBench::kMemory) == 0);
    CHECK_FALSE(bench.DmaWorks(MergeBench::kIova, kSecond));
    REQUIRE(bench.Merge(first, second) == 0);
    CHECK(bench.DmaWorks(MergeBench::kIova, kSecond));
  }
  MergeBench bench;
  const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
  REQUIRE(bench.Merge(first, second) == 0);
  CHECK(bench.Flags(second) == (MergeBench::kViable | MergeBench::kMmLocked));
  BecomeAnother(bench);
  CHECK(bench.GetIommu(second) == -EPERM);
}

TEST_CASE("GROUP_UNMERGE in October: on a group that stays", "[merge]") {
  for (const std::string_view revision : {"B0", "B1"}) {
    MergeBench bench(revision, ThreeEdus());
    const int first = bench.OpenGroup(1), second = bench.OpenGroup(2), third = bench.OpenGroup(3);
    REQUIRE(bench.Merge(first, second) == 0);
    CHECK(bench.Ioctl(first, bench.n.unmerge, 0xdead000) == -EFAULT);
    CHECK(bench.Unmerge(first, -1) == -EINVAL);
    CHECK(bench.Unmerge(first, 999) == -EBADF);
    CHECK(bench.Unmerge(first, bench.client.AddForeignFile()) == -EINVAL);
    CHECK(bench.Unmerge(first, first) == -EINVAL);
    CHECK(bench.Unmerge(first, third) == -EINVAL);
    const int device = bench.OpenDevice(first, kSecond);
    CHECK(bench.Unmerge(first, second) == -EBUSY);
    bench.Close(device);
    CHECK(bench.Unmerge(first, second) == 0);
    CHECK(bench.Unmerge(first, second) == -EINVAL);
  }
}

TEST_CASE("GROUP_UNMERGE since December: on the group that goes", "[merge]") {
  for (const std::string_view revision : {"B2", "B3"}) {
    MergeBench bench(revision);
    const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
    CHECK(bench.Ioctl(second, bench.n.unmerge) == -EINVAL);
    REQUIRE(bench.Merge(first, second) == 0);
    const int device = bench.OpenDevice(first, kSecond);
    CHECK(bench.Ioctl(second, bench.n.unmerge) == -EBUSY);
    bench.Close(device);
    REQUIRE(bench.Merge(first, second) == -EINVAL);
    CHECK(bench.Ioctl(second, bench.n.unmerge) == 0);
  }
}

TEST_CASE("GROUP_UNMERGE: the group leaves with nothing, the others go on", "[merge]") {
  for (const std::string_view revision : kAll) {
    MergeBench bench(revision);
    const int first = bench.OpenGroup(1), second = bench.OpenGroup(2);
    const int iommu = bench.OpenIommu(first);
    REQUIRE(bench.Merge(first, second) == 0);
    REQUIRE(bench.Map(iommu, MergeBench::kIova, MergeBench::kMemory) == 0);
    REQUIRE(bench.Unmerge(first, second) == 0);
    CHECK(bench.DmaWorks(MergeBench::kIova, kFirst));
    CHECK_FALSE(bench.DmaWorks(MergeBench::kIova, kSecond));
    CHECK(bench.Map(iommu, MergeBench::kIova + kPageSize, MergeBench::kMemory) == 0);
    BecomeAnother(bench);
    CHECK(bench.GetIommu(second) >= 0);
  }
}
