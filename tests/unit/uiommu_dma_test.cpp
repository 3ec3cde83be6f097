// Mapping memory for a device: by the file in A5 and A6, by the domain since June.
#include <catch2/catch.hpp>

#include "support/early_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u64 kMemory = EarlyBench::kMemory;
constexpr u64 kIova = 0x10000;

}  // namespace

TEST_CASE("DMA_MAP_IOVA: unreadable is EFAULT, what is not made of pages EINVAL", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain();
  CHECK(bench.Ioctl(device, kEarlyMap, 0xdead000) == -EFAULT);
  CHECK(bench.Map(device, kIova + 1, kMemory) == -EINVAL);
  CHECK(bench.Map(device, kIova, kMemory + 8) == -EINVAL);
  CHECK(bench.Map(device, kIova, kMemory, 100) == -EINVAL);
}

TEST_CASE("DMA_MAP_IOVA: more than 1 GiB is EINVAL, before the limit is asked", "[uiommu]") {
  EarlyBench bench;
  bench.client.mm().set_lock_limit(1);
  const int device = bench.OpenInDomain();
  CHECK(bench.Map(device, kIova, kMemory, 1_GiB + kPageSize) == -EINVAL);
  CHECK(bench.Map(device, kIova, kMemory, 1_GiB) == -ENOMEM);
}

TEST_CASE("DMA_MAP_IOVA: beyond RLIMIT_MEMLOCK is ENOMEM, before the process is asked",
          "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain();
  REQUIRE(bench.Map(device, kIova, kMemory) == 0);
  bench.client.Exec();
  bench.client.mm().Map(Bench::kArguments, kPageSize);
  bench.client.mm().Map(kMemory, 16 * kPageSize);
  bench.client.mm().set_lock_limit(1);
  CHECK(bench.Map(device, 2 * kIova, kMemory, 2 * kPageSize) == -ENOMEM);
  CHECK(bench.Map(device, 2 * kIova, kMemory) == -EINVAL);
  CHECK(bench.client.mm().locked_pages() == 0);
}

TEST_CASE("DMA_MAP_IOVA: no bytes are ENOMEM, memory that is not there EFAULT", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenDevice();
  CHECK(bench.Map(device, kIova, kMemory, 0) == -ENOMEM);
  CHECK(bench.Map(device, kIova, 0x900000) == -EFAULT);
}

TEST_CASE("DMA_MAP_IOVA for writing needs memory that can be written", "[uiommu]") {
  EarlyBench bench;
  bench.client.mm().Map(0x400000, kPageSize, {.read = true, .write = false});
  const int device = bench.OpenInDomain();
  CHECK(bench.Map(device, kIova, 0x400000, kPageSize, 1) == -EFAULT);
  CHECK(bench.Map(device, kIova, 0x400000, kPageSize, 0) == 0);
  CHECK_FALSE(bench.DmaWorks(kIova));
  u32 word = 0;  // a device may always read
  CHECK(bench.slot().DmaRead(Iova{kIova}, BytesOf(word)));
}

TEST_CASE("DMA_MAP_IOVA without a domain is EINVAL", "[uiommu]") {
  EarlyBench bench;
  CHECK(bench.Map(bench.OpenDevice(), kIova, kMemory) == -EINVAL);
  CHECK(bench.client.mm().locked_pages() == 0);
}

TEST_CASE("DMA_MAP_IOVA where the domain translates already is EBUSY", "[uiommu]") {
  EarlyBench bench("A6", EarlyBench::TwoEdus());
  const int domain = bench.OpenDomain();
  const int first = bench.OpenDevice("vfio0"), second = bench.OpenDevice("vfio1");
  REQUIRE(bench.Give(first, kDomainSet, {domain}) == 0);
  REQUIRE(bench.Give(second, kDomainSet, {domain}) == 0);
  REQUIRE(bench.Map(first, kIova, kMemory, 2 * kPageSize) == 0);
  CHECK(bench.Map(second, kIova + kPageSize, kMemory) == -EBUSY);
  CHECK(bench.Map(second, kIova + 2 * kPageSize, kMemory) == 0);
}

TEST_CASE("DMA_MAP_IOVA: what the IOMMU cannot translate is EFAULT", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain();
  CHECK(bench.Map(device, u64{1} << 48, kMemory) == -EFAULT);
  CHECK(bench.Map(device, ~u64{0} - (kPageSize - 1), kMemory) == -EFAULT);
}

TEST_CASE("DMA_MAP_IOVA copies its argument back as it was", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain();
  EarlyMap map{kMemory, kIova, kPageSize, 1};
  CHECK(bench.Ioctl(device, kEarlyMap, map) == 0);
  CHECK(map.dmaaddr == kIova);
  CHECK(bench.DmaWorks(kIova));
  CHECK(bench.client.mm().Get<u32>(kMemory) == 0x12345678);
}

TEST_CASE("DMA_UNMAP in A5 and A6 goes by address and pages alone, the newest first", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain();
  REQUIRE(bench.Map(device, kIova, kMemory) == 0);
  REQUIRE(bench.Map(device, 2 * kIova, kMemory) == 0);
  CHECK(bench.Unmap(device, kIova, kMemory, 2 * kPageSize) == -ENXIO);
  CHECK(bench.Unmap(device, kIova, kMemory + kPageSize) == -ENXIO);
  CHECK(bench.Unmap(device, kIova, kMemory) == 0);
  CHECK(bench.DmaWorks(kIova));
  CHECK_FALSE(bench.DmaWorks(2 * kIova));
  CHECK(bench.Unmap(device, 0, kMemory) == 0);
  CHECK(bench.Unmap(device, 0, kMemory) == -ENXIO);
  CHECK(bench.client.mm().locked_pages() == 0);
}

TEST_CASE("DMA_UNMAP does not find what was mapped through another file", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain(), other = bench.OpenDevice();
  REQUIRE(bench.Map(device, kIova, kMemory) == 0);
  CHECK(bench.Unmap(other, kIova, kMemory) == -ENXIO);
}

TEST_CASE("a file that is closed takes its mappings out of the shared domain, in A5 and A6",
          "[uiommu]") {
  EarlyBench bench("A6", EarlyBench::TwoEdus());
  const int domain = bench.OpenDomain();
  const int first = bench.OpenDevice("vfio0"), second = bench.OpenDevice("vfio1");
  REQUIRE(bench.Give(first, kDomainSet, {domain}) == 0);
  REQUIRE(bench.Give(second, kDomainSet, {domain}) == 0);
  REQUIRE(bench.Map(first, kIova, kMemory) == 0);
  REQUIRE(bench.Map(second, 2 * kIova, kMemory) == 0);
  CHECK(bench.DmaWorks(kIova, kSecond));
  bench.Close(first);
  CHECK_FALSE(bench.DmaWorks(kIova, kSecond));
  CHECK(bench.DmaWorks(2 * kIova, kSecond));
  CHECK(bench.client.mm().locked_pages() == 1);
}

TEST_CASE("mappings of a domain outlive the file through which they were made, since June",
          "[uiommu]") {
  for (const std::string_view revision : {"A-jun", "A-jul"}) {
    EarlyBench bench(revision, EarlyBench::TwoEdus());
    const int domain = bench.OpenDomain();
    const int first = bench.OpenDevice("vfio0"), second = bench.OpenDevice("vfio1");
    REQUIRE(bench.Give(first, kDomainSet, {domain}) == 0);
    REQUIRE(bench.Give(second, kDomainSet, {domain}) == 0);
    REQUIRE(bench.Map(first, kIova, kMemory) == 0);
    bench.Close(first);
    CHECK(bench.DmaWorks(kIova, kSecond));
    bench.Close(second);
    CHECK(bench.client.mm().locked_pages() == 0);
  }
}

TEST_CASE("mapping since June: no bytes are EINVAL, and so is no domain", "[uiommu]") {
  EarlyBench bench("A-jun");
  const int device = bench.OpenDevice();
  CHECK(bench.Map(device, kIova, kMemory) == -EINVAL);
  REQUIRE(bench.Give(device, kDomainSet, {bench.OpenDomain()}) == 0);
  CHECK(bench.Map(device, kIova, kMemory, 0) == -EINVAL);
  CHECK(bench.Map(device, kIova, kMemory, 100) == -EINVAL);
  CHECK(bench.Map(device, kIova, kMemory) == 0);
}

TEST_CASE("mapping since June: an overlap is EBUSY, before the limit and the memory", "[uiommu]") {
  EarlyBench bench("A-jun");
  const int device = bench.OpenInDomain();
  REQUIRE(bench.Map(device, kIova, kMemory) == 0);
  bench.client.mm().set_lock_limit(1);
  CHECK(bench.Map(device, kIova, 0x900000) == -EBUSY);
  CHECK(bench.Map(device, 2 * kIova, 0x900000) == -ENOMEM);
  bench.client.mm().set_lock_limit(100);
  CHECK(bench.Map(device, 2 * kIova, 0x900000) == -EFAULT);
  CHECK(bench.client.mm().locked_pages() == 1);
}

TEST_CASE("mapping since June: an address that wraps is EFAULT, after everything else",
          "[uiommu]") {
  constexpr u64 kLastPage = ~u64{kPageSize - 1};
  EarlyBench bench("A-jul");
  const int device = bench.OpenDevice();
  CHECK(bench.Map(device, kIova, kLastPage, 2 * kPageSize) == -EINVAL);
  REQUIRE(bench.Give(device, kDomainSet, {bench.OpenDomain()}) == 0);
  REQUIRE(bench.Map(device, kIova, kMemory) == 0);
  CHECK(bench.Map(device, kIova, kLastPage, 2 * kPageSize) == -EBUSY);
  bench.client.mm().set_lock_limit(2);
  CHECK(bench.Map(device, 2 * kIova, kLastPage, 2 * kPageSize) == -ENOMEM);
  bench.client.mm().set_lock_limit(3);
  CHECK(bench.Map(device, 2 * kIova, kLastPage, 2 * kPageSize) == -EFAULT);
  CHECK(bench.client.mm().locked_pages() == 1);
}

TEST_CASE("mapping since June has no limit of 1 GiB", "[uiommu]") {
  EarlyBench bench("A-jul");
  bench.client.mm().set_lock_limit(1);
  const int device = bench.OpenInDomain();
  CHECK(bench.Map(device, kIova, kMemory, 1_GiB + kPageSize) == -ENOMEM);
}

TEST_CASE("unmapping since June is by IOVA, trims and splits, and is 0 where nothing is",
          "[uiommu]") {
  for (const auto& [revision, unmap] :
       {std::pair{"A-jun", kEarlyUnmap}, std::pair{"A-jul", kUnmapJuly}}) {
    EarlyBench bench(revision);
    const int device = bench.OpenInDomain();
    REQUIRE(bench.Map(device, kIova, kMemory, 4 * kPageSize) == 0);
    CHECK(bench.Unmap(device, kIova + kPageSize, 0, kPageSize, unmap) == 0);
    CHECK(bench.client.mm().locked_pages() == 3);
    CHECK(bench.DmaWorks(kIova));
    CHECK_FALSE(bench.DmaWorks(kIova + kPageSize));
    CHECK(bench.DmaWorks(kIova + 2 * kPageSize));
    CHECK(bench.client.mm().Get<u32>(kMemory + 2 * kPageSize) == 0x12345678);
    CHECK(bench.Unmap(device, 0, 0, 1_GiB, unmap) == 0);
    CHECK(bench.client.mm().locked_pages() == 0);
    CHECK(bench.Unmap(device, 0, 0, 1_GiB, unmap) == 0);
    CHECK(bench.Unmap(device, 1, 0, kPageSize, unmap) == -EINVAL);
  }
}

TEST_CASE("unmapping since June without a domain is EINVAL", "[uiommu]") {
  EarlyBench bench("A-jun");
  CHECK(bench.Unmap(bench.OpenDevice(), kIova, 0) == -EINVAL);
}

TEST_CASE("memory that the process unmaps takes whole mappings along, in A5 and A6", "[uiommu]") {
  for (const auto& [revision, follows] :
       {std::pair{"A5", true}, std::pair{"A6", true}, std::pair{"A-jun", false}}) {
    EarlyBench bench(revision);
    const int device = bench.OpenInDomain();
    REQUIRE(bench.Map(device, kIova, kMemory, 2 * kPageSize) == 0);
    REQUIRE(bench.Map(device, 2 * kIova, kMemory + 2 * kPageSize) == 0);
    bench.door.Unmap(bench.now, bench.client, ClientAddress{kMemory + kPageSize}, kPageSize);
    CHECK(bench.DmaWorks(kIova) == !follows);
    CHECK(bench.DmaWorks(2 * kIova));
    CHECK(bench.client.mm().locked_pages() == (follows ? 1 : 3));
  }
}

TEST_CASE("what another process unmaps takes nothing along", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain();
  REQUIRE(bench.Map(device, kIova, kMemory) == 0);
  FakeClient other(200);
  bench.door.Unmap(bench.now, other, ClientAddress{kMemory}, kPageSize);
  CHECK(bench.DmaWorks(kIova));
}
