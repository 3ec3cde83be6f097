// VFIO_IOMMU_GET_INFO with every argsz that changes the answer, and VFIO_IOMMU_DIRTY_PAGES.
#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u64 kBuffer = 0x7f0000000000;
constexpr u32 kStart = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
constexpr u32 kStop = VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
constexpr u32 kGet = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;

struct Domain : Bench {
  explicit Domain(u64 type = VFIO_TYPE1v2_IOMMU) : container(OpenDomain(1, type).container) {
    client.mm().Map(kBuffer, 16 * kPageSize);
  }
  long DirtyPages(u32 flags, u32 argsz = 8) {
    vfio_iommu_type1_dirty_bitmap dirty{argsz, flags};
    return Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, dirty);
  }
  // GET_BITMAP into the words at kBuffer.
  long GetBitmap(u64 iova, u64 size, u64 page, u64 bitmap_size, u64 bitmap = kBuffer) {
    struct {
      u32 argsz, flags;
      u64 iova, size, page, bitmap_size, bitmap;
    } get{48, kGet, iova, size, page, bitmap_size, bitmap};
    return Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, get);
  }
  int container;
};

// GET_INFO's answer with room for the whole chain, as it lies in memory with two IOVA ranges.
struct Info {
  u32 argsz, flags;
  u64 pgsizes;
  u32 cap_offset, pad;
  struct Header {
    u16 id, version;
    u32 next;
  };
  Header migration;
  u32 migration_flags, migration_pad;
  u64 migration_pgsizes, max_bitmap;
  Header available;
  u32 available_count, available_pad;
  Header ranges;
  u32 range_count, ranges_pad;
  u64 first_start, first_end, second_start, second_end;
};
static_assert(sizeof(Info) == 120);

}  // namespace

TEST_CASE("GET_INFO with argsz 120 gives the whole chain", "[type1]") {
  Domain bench;
  Info info{.argsz = 120};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_GET_INFO, info) == 0);
  CHECK(info.argsz == 120);
  CHECK(info.flags == 3);
  CHECK(info.pgsizes == 0x40201000);
  CHECK(info.cap_offset == 24);
  CHECK(info.migration.id == 2);
  CHECK(info.migration.version == 1);
  CHECK(info.migration.next == 56);
  CHECK(info.migration_flags == 0);
  CHECK(info.migration_pgsizes == 0x1000);
  CHECK(info.max_bitmap == 0x10000000);
  CHECK(info.available.id == 3);
  CHECK(info.available.version == 1);
  CHECK(info.available.next == 72);
  CHECK(info.available_count == 65535);
  CHECK(info.ranges.id == 1);
  CHECK(info.ranges.version == 1);
  CHECK(info.ranges.next == 0);
  CHECK(info.range_count == 2);
  CHECK(info.first_start == 0);
  CHECK(info.first_end == 0xfedfffff);
  CHECK(info.second_start == 0xfef00000);
  CHECK(info.second_end == 0xffffffffffff);
}

TEST_CASE("GET_INFO with argsz 119 says 120 and gives no chain", "[type1]") {
  Domain bench;
  Info info{.argsz = 119, .cap_offset = 77, .available_count = 88};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_GET_INFO, info) == 0);
  CHECK(info.argsz == 120);
  CHECK(info.flags == 3);
  CHECK(info.cap_offset == 0);
  CHECK(info.available_count == 88);
}

TEST_CASE("GET_INFO with argsz 24 writes cap_offset and with argsz 16 leaves it", "[type1]") {
  Domain bench;
  Info small{.argsz = 24, .cap_offset = 77};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_GET_INFO, small) == 0);
  CHECK(small.argsz == 120);
  CHECK(small.cap_offset == 0);
  Info smaller{.argsz = 16, .cap_offset = 77};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_GET_INFO, smaller) == 0);
  CHECK(smaller.argsz == 120);
  CHECK(smaller.pgsizes == 0x40201000);
  CHECK(smaller.cap_offset == 77);
}

TEST_CASE("GET_INFO with argsz 15 is EINVAL and with an unreadable argument EFAULT", "[type1]") {
  Domain bench;
  Info info{.argsz = 15};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_GET_INFO, info) == -EINVAL);
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_GET_INFO, 0xdead000) == -EFAULT);
}

TEST_CASE("GET_INFO counts down what can still be mapped", "[type1]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == 0);
  Info info{.argsz = 120};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_GET_INFO, info) == 0);
  CHECK(info.available_count == 65534);
}

TEST_CASE("ioctls that type1 does not know are ENOTTY", "[type1]") {
  Domain bench;
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_ENABLE) == -ENOTTY);
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_DISABLE) == -ENOTTY);
  CHECK(bench.Ioctl(bench.container, 0x3bff) == -ENOTTY);
}

TEST_CASE("DIRTY_PAGES on v1 is EACCES before the argument is looked at", "[type1][dirty]") {
  Domain bench(VFIO_TYPE1_IOMMU);
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_DIRTY_PAGES, 0xdead000) == -EACCES);
}

TEST_CASE("DIRTY_PAGES starts and stops, each as often as one likes", "[type1][dirty]") {
  Domain bench;
  CHECK(bench.DirtyPages(kStop) == 0);
  CHECK(bench.DirtyPages(kStart) == 0);
  CHECK(bench.DirtyPages(kStart) == 0);
  CHECK(bench.DirtyPages(kStop) == 0);
}

TEST_CASE("DIRTY_PAGES with argsz 7, no action, two actions or an unknown one is EINVAL",
          "[type1][dirty]") {
  Domain bench;
  CHECK(bench.DirtyPages(kStart, 7) == -EINVAL);
  CHECK(bench.DirtyPages(0) == -EINVAL);
  CHECK(bench.DirtyPages(kStart | kStop) == -EINVAL);
  CHECK(bench.DirtyPages(8) == -EINVAL);
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_DIRTY_PAGES, 0xdead000) == -EFAULT);
}

TEST_CASE("GET_BITMAP before START or after STOP is EINVAL", "[type1][dirty]") {
  Domain bench;
  CHECK(bench.GetBitmap(0x100000, 0x1000, 0x1000, 8) == -EINVAL);
  REQUIRE(bench.DirtyPages(kStart) == 0);
  CHECK(bench.GetBitmap(0x100000, 0x1000, 0x1000, 8) == 0);
  REQUIRE(bench.DirtyPages(kStop) == 0);
  CHECK(bench.GetBitmap(0x100000, 0x1000, 0x1000, 8) == -EINVAL);
}

TEST_CASE("GET_BITMAP with argsz 47 is EINVAL", "[type1][dirty]") {
  Domain bench;
  REQUIRE(bench.DirtyPages(kStart) == 0);
  CHECK(bench.DirtyPages(kGet, 47) == -EINVAL);
}

TEST_CASE("GET_BITMAP of a bad range or with a bad bitmap is EINVAL, of one that wraps EOVERFLOW",
          "[type1][dirty]") {
  Domain bench;
  REQUIRE(bench.DirtyPages(kStart) == 0);
  CHECK(bench.GetBitmap(0x100000, 0, 0x1000, 8) == -EINVAL);
  CHECK(bench.GetBitmap(0xfffffffffffff000, 0x2000, 0x1000, 8) == -EOVERFLOW);
  CHECK(bench.GetBitmap(0x100800, 0x1000, 0x1000, 8) == -EINVAL);
  CHECK(bench.GetBitmap(0x100000, 0x1800, 0x1000, 8) == -EINVAL);
  CHECK(bench.GetBitmap(0x100000, 0x4000, 0x2000, 8) == -EINVAL);  // not the smallest page
  CHECK(bench.GetBitmap(0x100000, 0x1000, 0, 8) == -EINVAL);
  CHECK(bench.GetBitmap(0x100000, 0x1000, 0x1000, 0) == -EINVAL);
  CHECK(bench.GetBitmap(0x100000, 0x41000, 0x1000, 8) == -EINVAL);  // 65 pages, 64 bits
  CHECK(bench.GetBitmap(0x100000, 0x1000, 0x1000, 0x10000001) == -EINVAL);
  CHECK(bench.GetBitmap(0x100000, 0x1000, 0x1000, 8, 0xffff800000000000) == -EINVAL);
}

TEST_CASE("GET_BITMAP that cuts a mapping at either end is EINVAL", "[type1][dirty]") {
  Domain bench;
  REQUIRE(bench.DirtyPages(kStart) == 0);
  REQUIRE(bench.Map(bench.container, 0x101000, kBuffer, 0x2000) == 0);
  CHECK(bench.GetBitmap(0x102000, 0x4000, 0x1000, 8) == -EINVAL);
  CHECK(bench.GetBitmap(0x100000, 0x2000, 0x1000, 8) == -EINVAL);
}

TEST_CASE("GET_BITMAP reports every mapped page dirty, every time", "[type1][dirty]") {
  Domain bench;
  REQUIRE(bench.DirtyPages(kStart) == 0);
  REQUIRE(bench.Map(bench.container, 0x101000, kBuffer, 0x2000) == 0);
  CHECK(bench.GetBitmap(0x100000, 0x8000, 0x1000, 8) == 0);
  CHECK(bench.client.mm().Get<u64>(kBuffer) == 0b110);
  bench.client.mm().Put(kBuffer, u64{0});
  CHECK(bench.GetBitmap(0x101000, 0x2000, 0x1000, 8) == 0);
  CHECK((bench.client.mm().Get<u64>(kBuffer) & 0b11) == 0b11);
}

TEST_CASE("GET_BITMAP leaves bits that were shifted past the pages, until tracking stops",
          "[type1][dirty]") {
  Domain bench;
  REQUIRE(bench.DirtyPages(kStart) == 0);
  REQUIRE(bench.Map(bench.container, 0x101000, kBuffer, 0x2000) == 0);
  REQUIRE(bench.GetBitmap(0x100000, 0x8000, 0x1000, 8) == 0);
  bench.client.mm().Put(kBuffer, u64{0});
  CHECK(bench.GetBitmap(0x100000, 0x8000, 0x1000, 8) == 0);
  CHECK(bench.client.mm().Get<u64>(kBuffer) == 0b1110);
  REQUIRE(bench.DirtyPages(kStop) == 0);
  REQUIRE(bench.DirtyPages(kStart) == 0);
  bench.client.mm().Put(kBuffer, u64{0});
  CHECK(bench.GetBitmap(0x100000, 0x8000, 0x1000, 8) == 0);
  CHECK(bench.client.mm().Get<u64>(kBuffer) == 0b110);
}

TEST_CASE("GET_BITMAP keeps the client's bits in a mapping's first word, and words of gaps",
          "[type1][dirty]") {
  Domain bench;
  REQUIRE(bench.DirtyPages(kStart) == 0);
  REQUIRE(bench.Map(bench.container, 0x101000, kBuffer, 0x1000) == 0);  // bit 1 of word 0
  REQUIRE(bench.Map(bench.container, 0x182000, kBuffer, 0x1000) == 0);  // bit 2 of word 2
  bench.client.mm().Put(kBuffer, u64{0b1001});
  bench.client.mm().Put(kBuffer + 8, u64{0x55});
  CHECK(bench.GetBitmap(0x100000, 0x100000, 0x1000, 32) == 0);
  CHECK(bench.client.mm().Get<u64>(kBuffer) == 0b1011);
  CHECK(bench.client.mm().Get<u64>(kBuffer + 8) == 0x55);
  CHECK(bench.client.mm().Get<u64>(kBuffer + 16) == 0b100);
}

TEST_CASE("GET_BITMAP of a mapping across a word sets the bits of both words", "[type1][dirty]") {
  Domain bench;
  REQUIRE(bench.DirtyPages(kStart) == 0);
  REQUIRE(bench.Map(bench.container, 0x13f000, kBuffer, 0x2000) == 0);  // pages 63 and 64
  CHECK(bench.GetBitmap(0x100000, 0x80000, 0x1000, 16) == 0);
  CHECK(bench.client.mm().Get<u64>(kBuffer) == 0x8000000000000000);
  CHECK(bench.client.mm().Get<u64>(kBuffer + 8) == 1);
}

TEST_CASE("GET_BITMAP into memory that cannot be written is EFAULT", "[type1][dirty]") {
  Domain bench;
  REQUIRE(bench.DirtyPages(kStart) == 0);
  REQUIRE(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == 0);
  CHECK(bench.GetBitmap(0x100000, 0x1000, 0x1000, 8, 0xdead000) == -EFAULT);
}
