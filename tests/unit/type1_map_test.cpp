// VFIO_IOMMU_MAP_DMA: what it accepts, and which of several faults it names.
#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u64 kIova = 0x100000;
constexpr u64 kBuffer = 0x7f0000000000;  // 16 pages of the client
constexpr u32 kVaddr = VFIO_DMA_MAP_FLAG_VADDR;

struct Domain : Bench {
  explicit Domain(u64 type = VFIO_TYPE1v2_IOMMU, Iommu iommu = VtdIommu())
      : Bench({{kFirst, &fake_devices::kEdu, 1}}, std::move(iommu)) {
    client.mm().Map(kBuffer, 16 * kPageSize);
    container = OpenDomain(1, type).container;
  }
  int container;
};

Iommu With(u64 mapping_limit) {
  Iommu iommu = VtdIommu();
  iommu.mapping_limit = mapping_limit;
  return iommu;
}

}  // namespace

TEST_CASE("MAP_DMA of readable and writable memory succeeds and charges its pages", "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x3000) == 0);
  CHECK(bench.client.mm().locked_pages() == 3);
}

TEST_CASE("MAP_DMA charges a page as often as it is mapped", "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == 0);
  CHECK(bench.Map(bench.container, 0x200000, kBuffer, 0x1000) == 0);
  CHECK(bench.client.mm().locked_pages() == 2);
}

TEST_CASE("MAP_DMA accepts READ alone and WRITE alone", "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, 0x100000, kBuffer, 0x1000, VFIO_DMA_MAP_FLAG_READ) == 0);
  CHECK(bench.Map(bench.container, 0x200000, kBuffer, 0x1000, VFIO_DMA_MAP_FLAG_WRITE) == 0);
}

TEST_CASE("MAP_DMA with an unreadable argument is EFAULT even when 31 bytes of it can be read",
          "[type1]") {
  Domain bench;
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_MAP_DMA, 0xdead000) == -EFAULT);
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_MAP_DMA, Bench::kArguments + 0x1000 - 31) ==
        -EFAULT);
}

TEST_CASE("MAP_DMA with argsz below 32 is EINVAL and with a larger one ignores the rest",
          "[type1]") {
  Domain bench;
  vfio_iommu_type1_dma_map map{31, kReadWrite, kBuffer, kIova, 0x1000};
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_MAP_DMA, map) == -EINVAL);
  map.argsz = 4096;
  CHECK(bench.Ioctl(bench.container, VFIO_IOMMU_MAP_DMA, map) == 0);
}

TEST_CASE("MAP_DMA with an unknown flag is EINVAL", "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x1000, 0x8 | kReadWrite) == -EINVAL);
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x1000, 0x80000000 | kReadWrite) == -EINVAL);
}

TEST_CASE("MAP_DMA of size 0 is EINVAL", "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0) == -EINVAL);
}

TEST_CASE(
    "MAP_DMA whose iova or vaddr wraps is EOVERFLOW, before flags and alignment are looked at",
    "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, 0xfffffffffffff000, kBuffer, 0x2000) == -EOVERFLOW);
  CHECK(bench.Map(bench.container, kIova, 0xfffffffffffff000, 0x2000) == -EOVERFLOW);
  CHECK(bench.Map(bench.container, 0xfffffffffffff000, kBuffer, 0x2000, 0) == -EOVERFLOW);
  CHECK(bench.Map(bench.container, 0xfffffffffffff001, kBuffer, 0x1fff) == -EOVERFLOW);
}

TEST_CASE("MAP_DMA without READ, WRITE or VADDR, or with VADDR and one of them, is EINVAL",
          "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x1000, 0) == -EINVAL);
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x1000, kVaddr | 1) == -EINVAL);
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x1000, kVaddr | 2) == -EINVAL);
}

TEST_CASE("MAP_DMA with anything that is no multiple of the smallest page is EINVAL", "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, kIova + 1, kBuffer, 0x1000) == -EINVAL);
  CHECK(bench.Map(bench.container, kIova, kBuffer + 0x800, 0x1000) == -EINVAL);
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x1800) == -EINVAL);
}

TEST_CASE("MAP_DMA that overlaps a mapping by one page is EEXIST", "[type1]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, 0x102000, kBuffer, 0x2000) == 0);
  CHECK(bench.Map(bench.container, 0x101000, kBuffer, 0x2000) == -EEXIST);
  CHECK(bench.Map(bench.container, 0x103000, kBuffer, 0x2000) == -EEXIST);
  CHECK(bench.Map(bench.container, 0x102000, kBuffer, 0x1000) == -EEXIST);
  CHECK(bench.Map(bench.container, 0x100000, kBuffer, 0x8000) == -EEXIST);
}

TEST_CASE("MAP_DMA on both sides of a mapping succeeds where it only touches", "[type1]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, 0x102000, kBuffer, 0x2000) == 0);
  CHECK(bench.Map(bench.container, 0x101000, kBuffer, 0x1000) == 0);
  CHECK(bench.Map(bench.container, 0x104000, kBuffer, 0x1000) == 0);
}

TEST_CASE("MAP_DMA beyond the entry limit is ENOSPC until something is unmapped", "[type1]") {
  Domain bench(VFIO_TYPE1v2_IOMMU, With(2));
  REQUIRE(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == 0);
  REQUIRE(bench.Map(bench.container, 0x200000, kBuffer, 0x1000) == 0);
  CHECK(bench.Map(bench.container, 0x300000, kBuffer, 0x1000) == -ENOSPC);
  REQUIRE(bench.Unmap(bench.container, 0x100000, 0x1000) == 0x1000);
  CHECK(bench.Map(bench.container, 0x300000, kBuffer, 0x1000) == 0);
}

TEST_CASE("EEXIST beats ENOSPC and ENOSPC beats an IOVA out of range", "[type1]") {
  Domain bench(VFIO_TYPE1v2_IOMMU, With(1));
  REQUIRE(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == 0);
  CHECK(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == -EEXIST);
  CHECK(bench.Map(bench.container, 0xfee00000, kBuffer, 0x1000) == -ENOSPC);
}

TEST_CASE("a MAP_DMA that fails does not use up an entry", "[type1]") {
  Domain bench(VFIO_TYPE1v2_IOMMU, With(1));
  REQUIRE(bench.Map(bench.container, 0x100000, 0xdead000, 0x1000) == -EFAULT);
  CHECK(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == 0);
}

TEST_CASE("MAP_DMA that touches the MSI window or leaves the aperture is EINVAL", "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, 0xfee00000, kBuffer, 0x1000) == -EINVAL);
  CHECK(bench.Map(bench.container, 0xfeeff000, kBuffer, 0x1000) == -EINVAL);
  CHECK(bench.Map(bench.container, 0xfedff000, kBuffer, 0x2000) == -EINVAL);
  CHECK(bench.Map(bench.container, 0x1000000000000, kBuffer, 0x1000) == -EINVAL);
  CHECK(bench.Map(bench.container, 0xfffffffff000, kBuffer, 0x2000) == -EINVAL);
  CHECK(bench.Map(bench.container, 0xfedff000, kBuffer, 0x1000) == 0);
  CHECK(bench.Map(bench.container, 0xfef00000, kBuffer, 0x1000) == 0);
  CHECK(bench.Map(bench.container, 0xfffffffff000, kBuffer, 0x1000) == 0);
}

TEST_CASE("the last page of 64 bits of IOVA can be mapped and unmapped", "[type1]") {
  Iommu wide = VtdIommu();
  wide.address_width = 64;
  Domain bench(VFIO_TYPE1v2_IOMMU, wide);
  CHECK(bench.Map(bench.container, 0xfffffffffffff000, kBuffer, 0x1000) == 0);
  CHECK(bench.Map(bench.container, 0xffffffffffffe000, kBuffer, 0x2000) == -EEXIST);
  CHECK(bench.Unmap(bench.container, 0xfffffffffffff000, 0x1000) == 0x1000);
}

TEST_CASE("an IOVA out of range beats memory that cannot be pinned", "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, 0xfee00000, 0xdead000, 0x1000) == -EINVAL);
}

TEST_CASE("MAP_DMA of memory that is not there or that ends too early is EFAULT", "[type1]") {
  Domain bench;
  CHECK(bench.Map(bench.container, kIova, 0xdead000, 0x1000) == -EFAULT);
  CHECK(bench.Map(bench.container, kIova, kBuffer + 15 * 0x1000, 0x2000) == -EFAULT);
  CHECK(bench.client.mm().locked_pages() == 0);
}

TEST_CASE("MAP_DMA of read-only memory is EFAULT with WRITE and fine without", "[type1]") {
  Domain bench;
  bench.client.mm().Map(0x20000, 0x1000, {.read = true, .write = false});
  CHECK(bench.Map(bench.container, kIova, 0x20000, 0x1000, VFIO_DMA_MAP_FLAG_WRITE) == -EFAULT);
  CHECK(bench.Map(bench.container, kIova, 0x20000, 0x1000, VFIO_DMA_MAP_FLAG_READ) == 0);
}

TEST_CASE("MAP_DMA beyond RLIMIT_MEMLOCK is ENOMEM and leaves nothing behind", "[type1]") {
  Domain bench;
  bench.client.mm().set_lock_limit(4);
  REQUIRE(bench.Map(bench.container, 0x100000, kBuffer, 0x3000) == 0);
  CHECK(bench.Map(bench.container, 0x200000, kBuffer, 0x2000) == -ENOMEM);
  CHECK(bench.client.mm().locked_pages() == 3);
  CHECK(bench.Unmap(bench.container, 0x200000, 0x2000) == 0);
  CHECK(bench.Map(bench.container, 0x200000, kBuffer, 0x1000) == 0);
}

TEST_CASE("MAP_DMA of memory that is not there is EFAULT, whatever the limit has become",
          "[type1]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == 0);
  bench.client.mm().set_lock_limit(0);
  CHECK(bench.Map(bench.container, 0x200000, 0xdead000, 0x1000) == -EFAULT);
  CHECK(bench.Map(bench.container, 0x200000, kBuffer, 0x1000) == -ENOMEM);
}

TEST_CASE("MAP_DMA by a second process charges that process", "[type1]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == 0);
  FakeClient child(101);
  child.mm().Map(kBuffer, 0x1000);
  child.mm().Map(Bench::kArguments, 0x1000);
  child.mm().Put(Bench::kArguments,
                 vfio_iommu_type1_dma_map{32, kReadWrite, kBuffer, 0x200000, 0x1000});
  OpenFile& file = *bench.client.file(bench.container);
  Reply reply = bench.door.Ioctl(0ns, child, file, VFIO_IOMMU_MAP_DMA, Bench::kArguments);
  CHECK(*reply.completion().value == 0);
  CHECK(child.mm().locked_pages() == 1);
  CHECK(bench.client.mm().locked_pages() == 1);
}

TEST_CASE("MAP_DMA with VADDR where nothing is mapped is ENOENT", "[type1][vaddr]") {
  Domain bench;
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x1000, kVaddr) == -ENOENT);
}

TEST_CASE("MAP_DMA with VADDR over a mapping whose vaddr is valid is EINVAL", "[type1][vaddr]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, kIova, kBuffer, 0x1000) == 0);
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x1000, kVaddr) == -EINVAL);
}

TEST_CASE("MAP_DMA with VADDR that is not exactly one mapping is EINVAL", "[type1][vaddr]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, kIova, kBuffer, 0x2000) == 0);
  REQUIRE(bench.Unmap(bench.container, kIova, 0x2000, VFIO_DMA_UNMAP_FLAG_VADDR) == 0x2000);
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x1000, kVaddr) == -EINVAL);
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x3000, kVaddr) == -EINVAL);
  CHECK(bench.Map(bench.container, kIova, kBuffer, 0x2000, kVaddr) == 0);
}

TEST_CASE("MAP_DMA with VADDR by the same process does not charge again", "[type1][vaddr]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, kIova, kBuffer, 0x2000) == 0);
  REQUIRE(bench.Unmap(bench.container, kIova, 0x2000, VFIO_DMA_UNMAP_FLAG_VADDR) == 0x2000);
  CHECK(bench.Map(bench.container, kIova, kBuffer + 0x4000, 0x2000, kVaddr) == 0);
  CHECK(bench.client.mm().locked_pages() == 2);
}

TEST_CASE("MAP_DMA with VADDR after exec moves the mapping and its charge to the new image",
          "[type1][vaddr]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, kIova, kBuffer, 0x2000) == 0);
  REQUIRE(bench.Unmap(bench.container, kIova, 0x2000, VFIO_DMA_UNMAP_FLAG_VADDR) == 0x2000);
  bench.client.Exec();
  bench.client.mm().Map(Bench::kArguments, 0x1000);
  bench.client.mm().Map(0x40000, 0x2000);
  CHECK(bench.Map(bench.container, kIova, 0x40000, 0x2000, kVaddr) == 0);
  CHECK(bench.client.mm().locked_pages() == 2);
  bench.client.mm().Put(0x41000, u32{0x12345678});
  u32 word = 0;
  CHECK(bench.machine.groups().at(1).ioas()->Read(Iova{0x101000}, BytesOf(word)));
  CHECK(word == 0x12345678);
}

TEST_CASE("MAP_DMA of something new succeeds while another vaddr is invalid", "[type1][vaddr]") {
  Domain bench;
  REQUIRE(bench.Map(bench.container, 0x100000, kBuffer, 0x1000) == 0);
  REQUIRE(bench.Unmap(bench.container, 0x100000, 0x1000, VFIO_DMA_UNMAP_FLAG_VADDR) == 0x1000);
  CHECK(bench.Map(bench.container, 0x200000, kBuffer, 0x1000) == 0);
}
