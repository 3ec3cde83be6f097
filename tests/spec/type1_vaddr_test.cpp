// Changing the address behind a mapping, as a program does that replaces itself by exec: UNMAP_DMA
// with VADDR marks a mapping, MAP_DMA with VADDR gives it its new address.
#include "client.hpp"

namespace {

constexpr uint32_t kVaddr = VFIO_DMA_UNMAP_FLAG_VADDR;  // MAP_DMA's flag has the same value
static_assert(VFIO_DMA_MAP_FLAG_VADDR == VFIO_DMA_UNMAP_FLAG_VADDR);

Result MapVaddr(int container, uint64_t iova, const void* memory, uint64_t size) {
  return Map(container, iova, memory, size, kVaddr);
}

}  // namespace

TEST_CASE("UNMAP_DMA with VADDR keeps the mapping and says how many bytes it has marked",
          "[type1][vaddr]") {
  Pages memory(2);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), 2 * kPage) == 0);
  CHECK(Unmap(domain.container, kIova, 2 * kPage, kVaddr) == 2 * kPage);
  CHECK(Map(domain.container, kIova, memory.Data(), 2 * kPage) == Errno{EEXIST});
  CHECK(MapVaddr(domain.container, kIova, memory.Data(), 2 * kPage) == 0);
  CHECK(Unmap(domain.container, kIova, 2 * kPage) == 2 * kPage);
}

TEST_CASE("UNMAP_DMA with VADDR and ALL marks every mapping", "[type1][vaddr]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  REQUIRE(Map(domain.container, 2 * kIova, memory.Data(), kPage) == 0);
  CHECK(Unmap(domain.container, 0, 0, kVaddr | VFIO_DMA_UNMAP_FLAG_ALL) == 2 * kPage);
  CHECK(MapVaddr(domain.container, kIova, memory.Data(), kPage) == 0);
  CHECK(MapVaddr(domain.container, 2 * kIova, memory.Data(), kPage) == 0);
}

TEST_CASE("UNMAP_DMA with VADDR of a marked mapping is EINVAL and marks no other",
          "[type1][vaddr]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  REQUIRE(Map(domain.container, kIova + kPage, memory.Data(), kPage) == 0);
  REQUIRE(Unmap(domain.container, kIova + kPage, kPage, kVaddr) == kPage);
  CHECK(Unmap(domain.container, kIova, 2 * kPage, kVaddr) == Errno{EINVAL});
  CHECK(MapVaddr(domain.container, kIova, memory.Data(), kPage) == Errno{EINVAL});
  CHECK(MapVaddr(domain.container, kIova + kPage, memory.Data(), kPage) == 0);
}

TEST_CASE("MAP_DMA with VADDR where nothing is mapped is ENOENT", "[type1][vaddr]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  CHECK(MapVaddr(domain.container, kIova, memory.Data(), kPage) == Errno{ENOENT});
}

TEST_CASE("MAP_DMA with VADDR of a mapping that is not marked, or of a part, is EINVAL",
          "[type1][vaddr]") {
  Pages memory(2);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), 2 * kPage) == 0);
  CHECK(MapVaddr(domain.container, kIova, memory.Data(), 2 * kPage) == Errno{EINVAL});
  REQUIRE(Unmap(domain.container, kIova, 2 * kPage, kVaddr) == 2 * kPage);
  CHECK(MapVaddr(domain.container, kIova, memory.Data(), kPage) == Errno{EINVAL});
  CHECK(MapVaddr(domain.container, kIova + kPage, memory.Data(), kPage) == Errno{EINVAL});
}

TEST_CASE("while a mapping is marked, new mappings work but no group may join", "[type1][vaddr]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  Fd testdev = OpenGroup(Testdev());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  REQUIRE(Unmap(domain.container, kIova, kPage, kVaddr) == kPage);
  CHECK(Map(domain.container, 2 * kIova, memory.Data(), kPage) == 0);
  CHECK(SetContainer(testdev, domain.container) == Errno{EBUSY});
  REQUIRE(MapVaddr(domain.container, kIova, memory.Data(), kPage) == 0);
  CHECK(SetContainer(testdev, domain.container) == 0);
}

TEST_CASE("a marked mapping can be unmapped", "[type1][vaddr]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  REQUIRE(Unmap(domain.container, kIova, kPage, kVaddr) == kPage);
  CHECK(Unmap(domain.container, kIova, kPage) == kPage);
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == 0);
}
