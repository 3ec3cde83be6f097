// Tracking of dirty pages, and the older type1 v1, which has none and unmaps in its own way.
#include "client.hpp"

namespace {

constexpr uint32_t kStart = VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
                   kStop = VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
                   kGetBitmap = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;

// The argument of DIRTY_PAGES with GET_BITMAP, and of UNMAP_DMA with a bitmap: they look the same.
struct DirtyRange {
  uint32_t argsz, flags;
  uint64_t iova, size;
  vfio_bitmap bitmap;
};

Result DirtyPages(int container, uint32_t flags, uint32_t argsz = 8) {
  DirtyRange dirty{argsz, flags, 0, 0, {}};
  return Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &dirty);
}

Result GetDirty(int container, uint64_t iova, uint64_t size, uint64_t page, uint64_t* bitmap,
                uint64_t bitmap_size) {
  DirtyRange dirty{
      sizeof dirty, kGetBitmap, iova, size, {page, bitmap_size, reinterpret_cast<__u64*>(bitmap)}};
  return Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &dirty);
}

}  // namespace

// ---- Type1 v1 ----

TEST_CASE("v1: UNMAP_DMA from a mapping's start removes all of it, even past the range",
          "[type1][v1]") {
  Pages memory(4);
  Domain domain = OpenDomain(Edu(), VFIO_TYPE1_IOMMU);
  REQUIRE(Map(domain.container, kIova, memory.Data(), 4 * kPage) == 0);
  CHECK(Unmap(domain.container, kIova, kPage) == 4 * kPage);
  CHECK(Map(domain.container, kIova, memory.Data(), 4 * kPage) == 0);
}

TEST_CASE("v1: UNMAP_DMA from inside a mapping succeeds and removes nothing", "[type1][v1]") {
  Pages memory(4);
  Domain domain = OpenDomain(Edu(), VFIO_TYPE1_IOMMU);
  REQUIRE(Map(domain.container, kIova, memory.Data(), 4 * kPage) == 0);
  CHECK(Unmap(domain.container, kIova + kPage, 3 * kPage) == 0);
  CHECK(Unmap(domain.container, kIova + kPage, 16 * kPage) == 0);
  CHECK(Unmap(domain.container, kIova, 4 * kPage) == 4 * kPage);
}

TEST_CASE("v1: the other checks are those of v2", "[type1][v1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu(), VFIO_TYPE1_IOMMU);
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == Errno{EEXIST});
  CHECK(Map(domain.container, 2 * kIova, Nowhere(), kPage) == Errno{EFAULT});
  CHECK(Unmap(domain.container, kIova, 0) == Errno{EINVAL});
  CHECK(Unmap(domain.container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL) == kPage);
}

TEST_CASE("v1: DIRTY_PAGES is EACCES, whatever its argument", "[type1][v1]") {
  Domain domain = OpenDomain(Edu(), VFIO_TYPE1_IOMMU);
  CHECK(DirtyPages(domain.container, kStart) == Errno{EACCES});
  CHECK(Ioctl(domain.container, VFIO_IOMMU_DIRTY_PAGES, Nowhere()) == Errno{EACCES});
}

// ---- Dirty pages ----

TEST_CASE("tracking can be started and stopped, also twice", "[type1][dirty]") {
  Domain domain = OpenDomain(Edu());
  CHECK(DirtyPages(domain.container, kStop) == 0);
  CHECK(DirtyPages(domain.container, kStart) == 0);
  CHECK(DirtyPages(domain.container, kStart) == 0);
  CHECK(DirtyPages(domain.container, kStop) == 0);
  CHECK(DirtyPages(domain.container, kStop) == 0);
}

TEST_CASE("DIRTY_PAGES with no flag, two flags, one nobody knows or a short argsz is EINVAL",
          "[type1][dirty]") {
  Domain domain = OpenDomain(Edu());
  CHECK(DirtyPages(domain.container, 0) == Errno{EINVAL});
  CHECK(DirtyPages(domain.container, kStart | kStop) == Errno{EINVAL});
  CHECK(DirtyPages(domain.container, 8) == Errno{EINVAL});
  CHECK(DirtyPages(domain.container, kStart, 7) == Errno{EINVAL});
  CHECK(DirtyPages(domain.container, kGetBitmap, 47) == Errno{EINVAL});
}

TEST_CASE("GET_BITMAP without tracking is EINVAL", "[type1][dirty]") {
  uint64_t bitmap = 0;
  Domain domain = OpenDomain(Edu());
  CHECK(GetDirty(domain.container, kIova, kPage, kPage, &bitmap, 8) == Errno{EINVAL});
}

TEST_CASE("GET_BITMAP reports every mapped page as dirty, every time", "[type1][dirty]") {
  Pages memory(4);
  uint64_t bitmap = 0;
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), 4 * kPage) == 0);
  REQUIRE(DirtyPages(domain.container, kStart) == 0);
  for (int i = 0; i < 2; i++) {
    bitmap = 0;
    CHECK(GetDirty(domain.container, kIova, 4 * kPage, kPage, &bitmap, 8) == 0);
    CHECK(bitmap == 0xf);
  }
}

TEST_CASE("GET_BITMAP sets the bits of each mapping at its place in the range", "[type1][dirty]") {
  Pages memory(2);
  uint64_t bitmap[2] = {0, 0};
  Domain domain = OpenDomain(Edu());
  REQUIRE(DirtyPages(domain.container, kStart) == 0);
  REQUIRE(Map(domain.container, kIova + 2 * kPage, memory.Data(), kPage) == 0);
  REQUIRE(Map(domain.container, kIova + 65 * kPage, memory.Data(), 2 * kPage) == 0);
  CHECK(GetDirty(domain.container, kIova, 128 * kPage, kPage, bitmap, 16) == 0);
  CHECK(bitmap[0] == 1 << 2);
  CHECK(bitmap[1] == (1 << 1 | 1 << 2));
}

TEST_CASE("GET_BITMAP refuses a bad range, page size or bitmap size with EINVAL",
          "[type1][dirty]") {
  Pages memory(4);
  uint64_t bitmap = 0;
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), 4 * kPage) == 0);
  REQUIRE(DirtyPages(domain.container, kStart) == 0);
  CHECK(GetDirty(domain.container, kIova, 0, kPage, &bitmap, 8) == Errno{EINVAL});
  CHECK(GetDirty(domain.container, kIova + 1, kPage, kPage, &bitmap, 8) == Errno{EINVAL});
  CHECK(GetDirty(domain.container, kIova, kPage + 1, kPage, &bitmap, 8) == Errno{EINVAL});
  CHECK(GetDirty(domain.container, kIova, 4 * kPage, 2 * kPage, &bitmap, 8) == Errno{EINVAL});
  CHECK(GetDirty(domain.container, kIova, 4 * kPage, kPage, &bitmap, 0) == Errno{EINVAL});
  CHECK(GetDirty(domain.container, kIova, 65 * kPage, kPage, &bitmap, 8) == Errno{EINVAL});
  CHECK(GetDirty(domain.container, kIova, 2 * kPage, kPage, &bitmap, 8) == Errno{EINVAL});
  CHECK(GetDirty(domain.container, kIova + kPage, 3 * kPage, kPage, &bitmap, 8) == Errno{EINVAL});
}

TEST_CASE("GET_BITMAP past the top of the IOVA space is EOVERFLOW", "[type1][dirty]") {
  uint64_t bitmap = 0;
  Domain domain = OpenDomain(Edu());
  REQUIRE(DirtyPages(domain.container, kStart) == 0);
  CHECK(GetDirty(domain.container, ~0ULL - kPage + 1, 2 * kPage, kPage, &bitmap, 8) ==
        Errno{EOVERFLOW});
}

TEST_CASE("UNMAP_DMA with a dirty bitmap is EINVAL without tracking, without room or with ALL",
          "[type1][dirty]") {
  Pages memory(3);
  uint64_t bits = 0;
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), 3 * kPage) == 0);
  DirtyRange unmap{sizeof unmap,
                   VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
                   kIova,
                   3 * kPage,
                   {kPage, 8, reinterpret_cast<__u64*>(&bits)}};
  CHECK(Ioctl(domain.container, VFIO_IOMMU_UNMAP_DMA, &unmap) == Errno{EINVAL});
  REQUIRE(DirtyPages(domain.container, kStart) == 0);
  unmap.argsz = 47;
  CHECK(Ioctl(domain.container, VFIO_IOMMU_UNMAP_DMA, &unmap) == Errno{EINVAL});
  unmap.argsz = sizeof unmap;
  unmap.flags |= VFIO_DMA_UNMAP_FLAG_ALL;
  CHECK(Ioctl(domain.container, VFIO_IOMMU_UNMAP_DMA, &unmap) == Errno{EINVAL});
}

TEST_CASE("UNMAP_DMA with a dirty bitmap reports the pages it removes", "[type1][dirty]") {
  Pages memory(3);
  uint64_t bits = 0;
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), 3 * kPage) == 0);
  REQUIRE(DirtyPages(domain.container, kStart) == 0);
  DirtyRange unmap{sizeof unmap,
                   VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
                   kIova,
                   3 * kPage,
                   {kPage, 8, reinterpret_cast<__u64*>(&bits)}};
  CHECK(Ioctl(domain.container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0);
  CHECK(unmap.size == 3 * kPage);
  CHECK(bits == 7);
  CHECK(Unmap(domain.container, kIova, 3 * kPage) == 0);
}
