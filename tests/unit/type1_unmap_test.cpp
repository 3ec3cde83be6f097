// VFIO_IOMMU_UNMAP_DMA: type1 v2, which refuses to cut a mapping, and v1, which takes it whole.
#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u64 kBuffer = 0x7f0000000000;
constexpr u32 kAll = VFIO_DMA_UNMAP_FLAG_ALL;
constexpr u32 kVaddr = VFIO_DMA_UNMAP_FLAG_VADDR;
constexpr u32 kDirty = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;

// A container with 0x2000 bytes mapped at 0x100000 and again at 0x104000.
struct Domain : Bench {
  explicit Domain(u64 type = VFIO_TYPE1v2_IOMMU) {
    client.mm().Map(kBuffer, 4 * kPageSize);
    container = OpenDomain(1, type).container;
    Must(Map(container, 0x100000, kBuffer, 0x2000) == 0);
    Must(Map(container, 0x104000, kBuffer, 0x2000) == 0);
  }
  int container;
};

}  // namespace

TEST_CASE("UNMAP_DMA of a mapping says its size and takes back its charge", "[type1]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0x100000, 0x2000) == 0x2000);
  CHECK(bench.client.mm().locked_pages() == 2);
}

TEST_CASE("UNMAP_DMA where nothing is mapped succeeds with size 0", "[type1]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0x102000, 0x2000) == 0);
}

TEST_CASE("UNMAP_DMA over several mappings and gaps says the sum of what was mapped", "[type1]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0, 0x200000) == 0x4000);
}

TEST_CASE("UNMAP_DMA with ALL takes every mapping, and twice succeeds with 0", "[type1]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0, 0, kAll) == 0x4000);
  CHECK(bench.Unmap(bench.container, 0, 0, kAll) == 0);
}

TEST_CASE("UNMAP_DMA with ALL and an iova or a size is EINVAL", "[type1]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0x1000, 0, kAll) == -EINVAL);
  CHECK(bench.Unmap(bench.container, 0, 0x1000, kAll) == -EINVAL);
}

TEST_CASE("UNMAP_DMA of size 0, unaligned, with unknown flags or argsz 23 is EINVAL", "[type1]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0x100000, 0) == -EINVAL);
  CHECK(bench.Unmap(bench.container, 0x100000, 0x2001) == -EINVAL);
  CHECK(bench.Unmap(bench.container, 0x100800, 0x2000) == -EINVAL);
  CHECK(bench.Unmap(bench.container, 0x100000, 0x2000, 8) == -EINVAL);
  u32 argsz[6] = {23, 0, 0x100000, 0, 0x2000, 0};
  bench.client.mm().Put(Bench::kArguments, argsz);
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_UNMAP_DMA, Bench::kArguments) == -EINVAL);
}

TEST_CASE("UNMAP_DMA whose range wraps is EOVERFLOW", "[type1]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0xfffffffffffff000, 0x2000) == -EOVERFLOW);
}

TEST_CASE("UNMAP_DMA with an unreadable argument is EFAULT", "[type1]") {
  Domain bench;
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_UNMAP_DMA, 0xdead000) == -EFAULT);
}

TEST_CASE("UNMAP_DMA on v2 that would cut a mapping at either end is EINVAL and takes nothing",
          "[type1]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0x100000, 0x1000) == -EINVAL);
  CHECK(bench.Unmap(bench.container, 0x101000, 0x1000) == -EINVAL);
  CHECK(bench.Unmap(bench.container, 0x100000, 0x5000) == -EINVAL);
  CHECK(bench.Unmap(bench.container, 0x101000, 0x5000) == -EINVAL);
  CHECK(bench.Unmap(bench.container, 0, 0, kAll) == 0x4000);
}

TEST_CASE("UNMAP_DMA on v1 takes a mapping whole that begins inside the range", "[type1]") {
  Domain bench(VFIO_TYPE1_IOMMU);
  CHECK(bench.Unmap(bench.container, 0x100000, 0x1000) == 0x2000);
  CHECK(bench.Unmap(bench.container, 0x103000, 0x2000) == 0x2000);
}

TEST_CASE("UNMAP_DMA on v1 stops with 0 bytes at a mapping that begins before the range",
          "[type1]") {
  Domain bench(VFIO_TYPE1_IOMMU);
  CHECK(bench.Unmap(bench.container, 0x101000, 0x8000) == 0);
  CHECK(bench.Unmap(bench.container, 0, 0, kAll) == 0x4000);
}

TEST_CASE("UNMAP_DMA that fails does not write the struct back, and one that succeeds does",
          "[type1]") {
  Domain bench;
  struct {
    u32 argsz, flags;
    u64 iova, size;
  } unmap{24, 0, 0x100000, 0x1000};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_UNMAP_DMA, unmap) == -EINVAL);
  CHECK(unmap.size == 0x1000);
  unmap.iova = 0x700000;
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_UNMAP_DMA, unmap) == 0);
  CHECK(unmap.size == 0);
}

TEST_CASE("UNMAP_DMA into an argument that cannot be written is EFAULT, and the mapping is gone",
          "[type1]") {
  Domain bench;
  bench.client.mm().Map(0x20000, 0x1000, {.read = true, .write = false});
  struct {
    u32 argsz, flags;
    u64 iova, size;
  } unmap{24, 0, 0x100000, 0x2000};
  bench.client.mm().Put(0x20000, unmap);
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_UNMAP_DMA, 0x20000) == -EFAULT);
  CHECK(bench.Unmap(bench.container, 0x100000, 0x2000) == 0);
}

TEST_CASE("UNMAP_DMA with VADDR keeps the mapping and says what it marked", "[type1][vaddr]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0, 0x200000, kVaddr) == 0x4000);
  CHECK(bench.client.mm().locked_pages() == 4);
  CHECK(bench.Unmap(bench.container, 0, 0, kAll) == 0x4000);
}

TEST_CASE("UNMAP_DMA with VADDR and ALL marks everything", "[type1][vaddr]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0, 0, kVaddr | kAll) == 0x4000);
}

TEST_CASE("UNMAP_DMA with VADDR over an invalid vaddr is EINVAL and undoes its own marks",
          "[type1][vaddr]") {
  Domain bench;
  REQUIRE(bench.Unmap(bench.container, 0x104000, 0x2000, kVaddr) == 0x2000);
  CHECK(bench.Unmap(bench.container, 0, 0x200000, kVaddr) == -EINVAL);
  CHECK(bench.Map(bench.container, 0x100000, kBuffer, 0x2000, kVaddr) == -EINVAL);  // still valid
  CHECK(bench.Map(bench.container, 0x104000, kBuffer, 0x2000, kVaddr) == 0);
}

TEST_CASE("UNMAP_DMA with VADDR on v1 stops at a mapping that begins before the range",
          "[type1][vaddr]") {
  Domain bench(VFIO_TYPE1_IOMMU);
  CHECK(bench.Unmap(bench.container, 0x101000, 0x8000, kVaddr) == 0);
  CHECK(bench.Map(bench.container, 0x100000, kBuffer, 0x2000, kVaddr) == -EINVAL);
}

TEST_CASE("unmapping a mapping with an invalid vaddr lets groups attach again", "[type1][vaddr]") {
  Bench bench({{kFirst, &fake_devices::kEdu, 1}, {kSecond, &fake_devices::kEdu, 2}});
  bench.client.mm().Map(kBuffer, 0x1000);
  const int container = bench.OpenDomain(1).container;
  REQUIRE(bench.Map(container, 0x100000, kBuffer, 0x1000) == 0);
  REQUIRE(bench.Unmap(container, 0x100000, 0x1000, kVaddr) == 0x1000);
  const int second = bench.OpenGroup(2);
  CHECK(bench.SetContainer(second, container) == -EBUSY);
  REQUIRE(bench.Unmap(container, 0x100000, 0x1000) == 0x1000);
  CHECK(bench.SetContainer(second, container) == 0);
}

TEST_CASE("UNMAP_DMA with a dirty bitmap together with ALL or VADDR is EINVAL", "[type1][dirty]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0, 0, kDirty | kAll) == -EINVAL);
  CHECK(bench.Unmap(bench.container, 0x100000, 0x2000, kDirty | kVaddr) == -EINVAL);
}

TEST_CASE("UNMAP_DMA with a dirty bitmap and an argsz without room for it is EINVAL",
          "[type1][dirty]") {
  Domain bench;
  CHECK(bench.Unmap(bench.container, 0x100000, 0x2000, kDirty) == -EINVAL);
}

TEST_CASE("UNMAP_DMA with a dirty bitmap reports the pages and unmaps them", "[type1][dirty]") {
  Domain bench;
  vfio_iommu_type1_dirty_bitmap start{8, VFIO_IOMMU_DIRTY_PAGES_FLAG_START};
  struct {
    u32 argsz, flags;
    u64 iova, size, page, bitmap_size, bitmap;
  } unmap{48, kDirty, 0x100000, 0x6000, 0x1000, 8, kBuffer};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_UNMAP_DMA, unmap) == -EINVAL);  // not tracking
  REQUIRE(bench.Ioctl(bench.container, VFIO_IOMMU_DIRTY_PAGES, start) == 0);
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_UNMAP_DMA, unmap) == 0);
  CHECK(unmap.size == 0x4000);
  CHECK(bench.client.mm().Get<u64>(kBuffer) == 0b110011);
}

TEST_CASE("UNMAP_DMA with a dirty bitmap for pages that are not the smallest is EINVAL",
          "[type1][dirty]") {
  Domain bench;
  vfio_iommu_type1_dirty_bitmap start{8, VFIO_IOMMU_DIRTY_PAGES_FLAG_START};
  REQUIRE(bench.Ioctl(bench.container, VFIO_IOMMU_DIRTY_PAGES, start) == 0);
  struct {
    u32 argsz, flags;
    u64 iova, size, page, bitmap_size, bitmap;
  } unmap{48, kDirty, 0x100000, 0x2000, 0x2000, 8, kBuffer};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_UNMAP_DMA, unmap) == -EINVAL);
}
