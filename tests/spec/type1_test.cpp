// The type1 IOMMU model: what can be mapped and unmapped, and in which order a request is checked.
#include "client.hpp"
#include "type1_info.hpp"

namespace {

constexpr uint32_t kUnmapAll = 2;  // VFIO_DMA_UNMAP_FLAG_ALL
constexpr uint64_t kTop = ~0ULL;   // the last address there is

}  // namespace

// ---- MAP_DMA ----

TEST_CASE("MAP_DMA maps, and UNMAP_DMA says how many bytes it has unmapped", "[type1]") {
  Pages memory(4);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kIova, memory.Data(), 4 * kPage) == 0);
  CHECK(Unmap(domain.container, kIova, 4 * kPage) == 4 * kPage);
  CHECK(Unmap(domain.container, kIova, 4 * kPage) == 0);
}

TEST_CASE("MAP_DMA accepts READ alone and WRITE alone", "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kIova, memory.Data(), kPage, VFIO_DMA_MAP_FLAG_READ) == 0);
  CHECK(Map(domain.container, kIova + kPage, memory.Data(), kPage, VFIO_DMA_MAP_FLAG_WRITE) == 0);
}

TEST_CASE("MAP_DMA with no flags, with flags nobody knows or with VADDR and READ is EINVAL",
          "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kIova, memory.Data(), kPage, 0) == Errno{EINVAL});
  CHECK(Map(domain.container, kIova, memory.Data(), kPage, kReadWrite | 8) == Errno{EINVAL});
  CHECK(Map(domain.container, kIova, memory.Data(), kPage, kReadWrite | 1u << 31) == Errno{EINVAL});
  CHECK(Map(domain.container, kIova, memory.Data(), kPage,
            VFIO_DMA_MAP_FLAG_VADDR | VFIO_DMA_MAP_FLAG_READ) == Errno{EINVAL});
}

TEST_CASE("MAP_DMA with argsz below 32 is EINVAL, above it is fine", "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  vfio_iommu_type1_dma_map map{31, kReadWrite, reinterpret_cast<uintptr_t>(memory.Data()), kIova,
                               kPage};
  CHECK(Ioctl(domain.container, VFIO_IOMMU_MAP_DMA, &map) == Errno{EINVAL});
  map.argsz = 4096;
  CHECK(Ioctl(domain.container, VFIO_IOMMU_MAP_DMA, &map) == 0);
}

TEST_CASE("MAP_DMA of no bytes is EINVAL", "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kIova, memory.Data(), 0) == Errno{EINVAL});
}

TEST_CASE("MAP_DMA of anything that is not whole pages is EINVAL", "[type1]") {
  Pages memory(2);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kIova, memory.Data(), kPage + 1) == Errno{EINVAL});
  CHECK(Map(domain.container, kIova, memory.Data(), kPage / 2) == Errno{EINVAL});
  CHECK(Map(domain.container, kIova + 8, memory.Data(), kPage) == Errno{EINVAL});
  CHECK(Map(domain.container, kIova, memory.Data() + 8, kPage) == Errno{EINVAL});
}

TEST_CASE("MAP_DMA past the top of the IOVA space or of the address space is EOVERFLOW",
          "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kTop - kPage + 1, memory.Data(), 2 * kPage) == Errno{EOVERFLOW});
  CHECK(Map(domain.container, kIova, reinterpret_cast<void*>(kTop - kPage + 1), 2 * kPage) ==
        Errno{EOVERFLOW});
}

TEST_CASE("MAP_DMA finds the overflow before bad flags of its own and before alignment",
          "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kTop, memory.Data(), 2 * kPage, 0) == Errno{EOVERFLOW});
  CHECK(Map(domain.container, kTop, memory.Data(), 2, kReadWrite) == Errno{EOVERFLOW});
  CHECK(Map(domain.container, kTop, memory.Data(), 2, 1u << 31) == Errno{EINVAL});
  CHECK(Map(domain.container, kTop, memory.Data(), 0) == Errno{EINVAL});
}

TEST_CASE("MAP_DMA over an existing mapping is EEXIST, wherever they meet", "[type1]") {
  Pages memory(4);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), 2 * kPage) == 0);
  CHECK(Map(domain.container, kIova, memory.Data(), 2 * kPage) == Errno{EEXIST});
  CHECK(Map(domain.container, kIova + kPage, memory.Data(), kPage) == Errno{EEXIST});
  CHECK(Map(domain.container, kIova + kPage, memory.Data(), 2 * kPage) == Errno{EEXIST});
  CHECK(Map(domain.container, kIova - kPage, memory.Data(), 2 * kPage) == Errno{EEXIST});
  CHECK(Map(domain.container, kIova - kPage, memory.Data(), 4 * kPage) == Errno{EEXIST});
}

TEST_CASE("MAP_DMA beside an existing mapping succeeds", "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  CHECK(Map(domain.container, kIova - kPage, memory.Data(), kPage) == 0);
  CHECK(Map(domain.container, kIova + kPage, memory.Data(), kPage) == 0);
  CHECK(Unmap(domain.container, kIova - kPage, 3 * kPage) == 3 * kPage);
}

TEST_CASE("MAP_DMA finds an overlap before bad memory and before a range it may not use",
          "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  IovaRange first = IovaRanges(domain.container).front();
  uint64_t last_page = first.end - kPage + 1;
  REQUIRE(Map(domain.container, last_page, memory.Data(), kPage) == 0);
  CHECK(Map(domain.container, last_page, Nowhere(), kPage) == Errno{EEXIST});
  CHECK(Map(domain.container, last_page, memory.Data(), 2 * kPage) == Errno{EEXIST});
}

TEST_CASE("the same memory can be mapped at several IOVAs", "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  for (uint64_t i = 0; i < 16; i++)
    CHECK(Map(domain.container, kIova + 3 * i * kPage, memory.Data(), kPage) == 0);
  CHECK(Unmap(domain.container, kIova, 64 * kPage) == 16 * kPage);
}

TEST_CASE("IOVA 0 can be mapped", "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(IovaRanges(domain.container).front().start == 0);
  CHECK(Map(domain.container, 0, memory.Data(), kPage) == 0);
  CHECK(Unmap(domain.container, 0, kPage) == kPage);
}

TEST_CASE("the last page of every IOVA range can be mapped, the page after it is EINVAL",
          "[type1]") {
  Pages memory(2);
  Domain domain = OpenDomain(Edu());
  for (IovaRange range : IovaRanges(domain.container)) {
    uint64_t last_page = range.end - kPage + 1;
    CHECK(Map(domain.container, last_page, memory.Data(), kPage) == 0);
    CHECK(Unmap(domain.container, last_page, kPage) == kPage);
    if (range.end == kTop) continue;
    CHECK(Map(domain.container, range.end + 1, memory.Data(), kPage) == Errno{EINVAL});
    CHECK(Map(domain.container, last_page, memory.Data(), 2 * kPage) == Errno{EINVAL});
  }
}

TEST_CASE("MAP_DMA refuses a range before it looks at the memory", "[type1]") {
  Domain domain = OpenDomain(Edu());
  IovaRange last = IovaRanges(domain.container).back();
  if (last.end == kTop) return;
  CHECK(Map(domain.container, last.end + 1, Nowhere(), kPage) == Errno{EINVAL});
}

TEST_CASE("MAP_DMA of memory that is not there is EFAULT", "[type1]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kIova, Nowhere(), kPage) == Errno{EFAULT});
  CHECK(Map(domain.container, kIova, nullptr, kPage) == Errno{EFAULT});
  CHECK(Map(domain.container, kIova, reinterpret_cast<void*>(1ULL << 63), kPage) == Errno{EFAULT});
}

TEST_CASE("MAP_DMA of a range with a hole is EFAULT and maps nothing", "[type1]") {
  Pages memory(3);
  ::munmap(memory.Data() + kPage, kPage);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kIova, memory.Data(), 3 * kPage) == Errno{EFAULT});
  CHECK(Unmap(domain.container, kIova, 3 * kPage) == 0);
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == 0);
}

TEST_CASE("MAP_DMA of memory without access rights is EFAULT", "[type1]") {
  Pages memory(3);
  memory.Protect(2, PROT_NONE);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kIova, memory.Data(), 3 * kPage) == Errno{EFAULT});
}

TEST_CASE("MAP_DMA of read-only memory is EFAULT with WRITE and succeeds with READ", "[type1]") {
  Pages memory(1, PROT_READ);
  Domain domain = OpenDomain(Edu());
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == Errno{EFAULT});
  CHECK(Map(domain.container, kIova, memory.Data(), kPage, VFIO_DMA_MAP_FLAG_WRITE) ==
        Errno{EFAULT});
  CHECK(Map(domain.container, kIova, memory.Data(), kPage, VFIO_DMA_MAP_FLAG_READ) == 0);
}

TEST_CASE("MAP_DMA of a large range is one mapping", "[type1]") {
  Pages memory(4096);
  Domain domain = OpenDomain(Edu());
  uint32_t before = DmaAvailable(domain.container);
  CHECK(Map(domain.container, kIova, memory.Data(), memory.Size()) == 0);
  CHECK(DmaAvailable(domain.container) == before - 1);
  CHECK(Unmap(domain.container, kIova, memory.Size()) == static_cast<long>(memory.Size()));
  CHECK(DmaAvailable(domain.container) == before);
}

// ---- UNMAP_DMA ----

TEST_CASE("UNMAP_DMA where nothing is mapped succeeds with 0 bytes", "[type1]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Unmap(domain.container, kIova, kPage) == 0);
  CHECK(Unmap(domain.container, 0, kTop - kPage + 1) == 0);
  CHECK(Unmap(domain.container, kTop - kPage + 1, kPage) == 0);
}

TEST_CASE("UNMAP_DMA removes every mapping inside its range and counts their bytes", "[type1]") {
  Pages memory(4);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  REQUIRE(Map(domain.container, kIova + 8 * kPage, memory.Data(), 4 * kPage) == 0);
  REQUIRE(Map(domain.container, kIova + 32 * kPage, memory.Data(), kPage) == 0);
  CHECK(Unmap(domain.container, kIova - kPage, 16 * kPage) == 5 * kPage);
  CHECK(Map(domain.container, kIova + 32 * kPage, memory.Data(), kPage) == Errno{EEXIST});
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == 0);
}

TEST_CASE("UNMAP_DMA of a part of a mapping is EINVAL and keeps the whole", "[type1]") {
  Pages memory(4);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), 4 * kPage) == 0);
  CHECK(Unmap(domain.container, kIova, kPage) == Errno{EINVAL});
  CHECK(Unmap(domain.container, kIova + 3 * kPage, kPage) == Errno{EINVAL});
  CHECK(Unmap(domain.container, kIova + kPage, 2 * kPage) == Errno{EINVAL});
  CHECK(Unmap(domain.container, kIova - kPage, 2 * kPage) == Errno{EINVAL});
  CHECK(Unmap(domain.container, kIova, 4 * kPage) == 4 * kPage);
}

TEST_CASE("UNMAP_DMA that would cut its last mapping removes none before it", "[type1]") {
  Pages memory(2);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  REQUIRE(Map(domain.container, kIova + kPage, memory.Data(), 2 * kPage) == 0);
  CHECK(Unmap(domain.container, kIova, 2 * kPage) == Errno{EINVAL});
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == Errno{EEXIST});
}

TEST_CASE("UNMAP_DMA of no bytes or of anything that is not whole pages is EINVAL", "[type1]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Unmap(domain.container, kIova, 0) == Errno{EINVAL});
  CHECK(Unmap(domain.container, kIova, kPage + 1) == Errno{EINVAL});
  CHECK(Unmap(domain.container, kIova + 1, kPage) == Errno{EINVAL});
}

TEST_CASE("UNMAP_DMA past the top of the IOVA space is EOVERFLOW, after the alignment checks",
          "[type1]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Unmap(domain.container, kTop - kPage + 1, 2 * kPage) == Errno{EOVERFLOW});
  CHECK(Unmap(domain.container, kTop, 2 * kPage) == Errno{EINVAL});
}

TEST_CASE("UNMAP_DMA with flags nobody knows, or argsz below 24, is EINVAL", "[type1]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Unmap(domain.container, kIova, kPage, 8) == Errno{EINVAL});
  CHECK(Unmap(domain.container, kIova, kPage, 1u << 31) == Errno{EINVAL});
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = 23;
  unmap.iova = kIova;
  unmap.size = kPage;
  CHECK(Ioctl(domain.container, VFIO_IOMMU_UNMAP_DMA, &unmap) == Errno{EINVAL});
}

TEST_CASE("a failing UNMAP_DMA leaves its argument as it was", "[type1]") {
  Pages memory(2);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), 2 * kPage) == 0);
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof unmap;
  unmap.iova = kIova;
  unmap.size = kPage;
  CHECK(Ioctl(domain.container, VFIO_IOMMU_UNMAP_DMA, &unmap) == Errno{EINVAL});
  CHECK(unmap.size == kPage);
}

TEST_CASE("UNMAP_DMA with ALL removes everything", "[type1]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  for (uint64_t i = 0; i < 10; i++)
    REQUIRE(Map(domain.container, kIova * (i + 1), memory.Data(), kPage) == 0);
  CHECK(Unmap(domain.container, 0, 0, kUnmapAll) == 10 * kPage);
  CHECK(Unmap(domain.container, 0, 0, kUnmapAll) == 0);
}

TEST_CASE("UNMAP_DMA with ALL and a range is EINVAL", "[type1]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Unmap(domain.container, kIova, 0, kUnmapAll) == Errno{EINVAL});
  CHECK(Unmap(domain.container, 0, kPage, kUnmapAll) == Errno{EINVAL});
}
