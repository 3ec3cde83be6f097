// Mapping memory through the IOMMU's descriptor, of October 2011 to January 2012.
#include <catch2/catch.hpp>

#include "support/merge_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr std::string_view kAll[] = {"B0", "B1", "B2", "B3"};
constexpr u64 kIova = MergeBench::kIova, kMemory = MergeBench::kMemory;

struct WithIommu : MergeBench {
  explicit WithIommu(std::string_view revision)
      : MergeBench(revision), iommu(OpenIommu(OpenGroup())) {}
  int iommu;
};

}  // namespace

TEST_CASE("IOMMU_GET_FLAGS: all of memory can be mapped", "[merge]") {
  WithIommu bench("B1");
  CHECK(bench.Ioctl(bench.iommu, bench.n.iommu_info, 0xdead000) == -EFAULT);
  REQUIRE(bench.Ioctl(bench.iommu, bench.n.iommu_info, Bench::kArguments) == 0);
  CHECK(bench.client.mm().Get<u64>(Bench::kArguments) == 1);
}

TEST_CASE("IOMMU_GET_INFO tells what can be mapped", "[merge]") {
  WithIommu december("B2");
  CHECK(december.Ioctl(december.iommu, december.n.iommu_info, 0xdead000) == -EFAULT);
  CHECK(december.Give(december.iommu, december.n.iommu_info, {31, 0, 0, 0, 0, 0, 0, 0}) == -EINVAL);
  REQUIRE(december.Give(december.iommu, december.n.iommu_info, {32, 7, 1, 1, 1, 1, 1, 1}) == 0);
  CHECK(december.Word(1) == 0);
  CHECK(december.client.mm().Get<u64>(Bench::kArguments + 8) == ~u64{0});
  CHECK(december.client.mm().Get<u64>(Bench::kArguments + 16) == 0);
  CHECK(december.client.mm().Get<u64>(Bench::kArguments + 24) ==
        december.machine.iommu().page_sizes);

  WithIommu january("B3");
  CHECK(january.Give(january.iommu, january.n.iommu_info, std::vector<u32>(10, 39)) == -EINVAL);
  REQUIRE(january.Give(january.iommu, january.n.iommu_info, std::vector<u32>(10, 40)) == 0);
  CHECK(january.Word(1) == 0);
  CHECK(january.client.mm().Get<u64>(Bench::kArguments + 8) == 0);
  CHECK(january.client.mm().Get<u64>(Bench::kArguments + 16) == ~u64{0});
  CHECK(january.client.mm().Get<u64>(Bench::kArguments + 32) == january.machine.iommu().page_sizes);
}

TEST_CASE("IOMMU_MAP_DMA: what is not there is EFAULT, what is not made of pages EINVAL",
          "[merge]") {
  for (const std::string_view revision : kAll) {
    WithIommu bench(revision);
    CHECK(bench.Ioctl(bench.iommu, bench.n.map, 0xdead000) == -EFAULT);
    CHECK(bench.Map(bench.iommu, kIova + 1, kMemory) == -EINVAL);
    CHECK(bench.Map(bench.iommu, kIova, kMemory + 8) == -EINVAL);
    CHECK(bench.Map(bench.iommu, kIova, kMemory, 100) == -EINVAL);
    CHECK(bench.Map(bench.iommu, kIova, kMemory, 0) == -EINVAL);
    CHECK(bench.Map(bench.iommu, kIova, 0x900000) == -EFAULT);
  }
}

TEST_CASE("IOMMU_MAP_DMA in October does not look at the length that the client gives", "[merge]") {
  WithIommu bench("B1");
  u64 map[] = {0, kMemory, kIova, kPageSize, 1};
  bench.client.mm().Put(Bench::kArguments, map);
  CHECK(bench.Ioctl(bench.iommu, bench.n.map, Bench::kArguments) == 0);
}

TEST_CASE("IOMMU_MAP_DMA since December: argsz, flags, and what wraps, are EINVAL", "[merge]") {
  for (const std::string_view revision : {"B2", "B3"}) {
    WithIommu bench(revision);
    const auto map = [&](u32 argsz, u32 flags, u64 address, u64 iova, u64 size) {
      struct {
        u32 argsz, flags;
        u64 address, iova, size;
      } arguments{argsz, flags, address, iova, size};
      return bench.Ioctl(bench.iommu, bench.n.map, arguments);
    };
    CHECK(map(31, 3, kMemory, kIova, kPageSize) == -EINVAL);
    CHECK(map(32, 7, kMemory, kIova, kPageSize) == -EINVAL);
    CHECK(map(32, 0, kMemory, kIova, kPageSize) == -EINVAL);
    CHECK(map(32, 3, kMemory, ~u64{0} - 0xfff, 2 * kPageSize) == -EINVAL);
    CHECK(map(32, 3, ~u64{0} - 0xfff, kIova, 2 * kPageSize) == -EINVAL);
    CHECK(map(32, 3, kMemory, kIova, kPageSize) == 0);
  }
}

TEST_CASE("IOMMU_MAP_DMA: an overlap is EBUSY, before the limit, which is ENOMEM, and the memory",
          "[merge]") {
  for (const std::string_view revision : kAll) {
    WithIommu bench(revision);
    REQUIRE(bench.Map(bench.iommu, kIova, kMemory) == 0);
    bench.client.mm().set_lock_limit(1);
    CHECK(bench.Map(bench.iommu, kIova, 0x900000) == -EBUSY);
    CHECK(bench.Map(bench.iommu, 2 * kIova, 0x900000) == -ENOMEM);
    CHECK(bench.client.mm().locked_pages() == 1);
  }
}

TEST_CASE("IOMMU_MAP_DMA: a device can read in October whatever the flags, later if they say so",
          "[merge]") {
  u32 word = 0;
  WithIommu october("B1");
  REQUIRE(october.Map(october.iommu, kIova, kMemory, kPageSize, false) == 0);
  CHECK_FALSE(october.DmaWorks());
  CHECK(october.slot().DmaRead(Iova{kIova}, BytesOf(word)));

  WithIommu december("B2");
  struct {
    u32 argsz = 32, flags = 2;
    u64 address = kMemory, iova = kIova, size = kPageSize;
  } only_write;
  REQUIRE(december.Ioctl(december.iommu, december.n.map, only_write) == 0);
  CHECK(december.DmaWorks());
  CHECK_FALSE(december.slot().DmaRead(Iova{kIova}, BytesOf(word)));
}

TEST_CASE("IOMMU_UNMAP_DMA goes by IOVA, and cuts what lies across the border", "[merge]") {
  for (const std::string_view revision : kAll) {
    WithIommu bench(revision);
    REQUIRE(bench.Map(bench.iommu, kIova, kMemory, 3 * kPageSize) == 0);
    CHECK(bench.Unmap(bench.iommu, kIova + 1) == -EINVAL);
    CHECK(bench.Unmap(bench.iommu, kIova, 100) == -EINVAL);
    CHECK(bench.Unmap(bench.iommu, 2 * kIova) == 0);
    CHECK(bench.Unmap(bench.iommu, kIova + kPageSize) == 0);
    CHECK(bench.DmaWorks(kIova));
    CHECK_FALSE(bench.DmaWorks(kIova + kPageSize));
    CHECK(bench.DmaWorks(kIova + 2 * kPageSize));
    CHECK(bench.client.mm().locked_pages() == 2);
    CHECK(bench.Unmap(bench.iommu, 0, ~u64{0} & ~u64{0xfff}) == 0);
    CHECK(bench.client.mm().locked_pages() == 0);
  }
}

TEST_CASE("IOMMU_UNMAP_DMA: a cut that would make one mapping too many is ENOMEM", "[merge]") {
  WithIommu bench("B3");
  constexpr u64 kAgain = 0x20000000;
  bench.client.mm().Map(kAgain, 3 * kPageSize);
  REQUIRE(bench.Map(bench.iommu, kIova, kAgain, 3 * kPageSize) == 0);
  for (u64 i = 1; i < 65535; ++i)
    REQUIRE(bench.Map(bench.iommu, kIova + 2 * i * 4 * kPageSize, kMemory) == 0);
  CHECK(bench.Map(bench.iommu, 0, kMemory) == -ENOMEM);
  CHECK(bench.Unmap(bench.iommu, kIova + kPageSize) == -ENOMEM);
  CHECK(bench.DmaWorks(kIova + kPageSize));
  REQUIRE(bench.Give(bench.iommu, bench.n.iommu_info, std::vector<u32>(10, 40)) == 0);
  CHECK(bench.client.mm().Get<u64>(Bench::kArguments + 24) == 0);
  CHECK(bench.Unmap(bench.iommu, kIova) == 0);
}

TEST_CASE("IOMMU_UNMAP_DMA since December: argsz and flags are EINVAL", "[merge]") {
  WithIommu bench("B2");
  CHECK(bench.Ioctl(bench.iommu, bench.n.unmap, 0xdead000) == -EFAULT);
  CHECK(bench.Give(bench.iommu, bench.n.unmap, {23, 0, 0, 0, 0, 0}) == -EINVAL);
  CHECK(bench.Give(bench.iommu, bench.n.unmap, {24, 1, 0, 0, 0, 0}) == -EINVAL);
}
