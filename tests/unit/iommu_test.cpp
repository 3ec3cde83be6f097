// Address translation by itself: mappings, permissions, faults, the order of stores.
#include "iommu/iommu.hpp"

#include <catch2/catch.hpp>

#include "iommu/ioas.hpp"
#include "support/fake_client.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

// 0x10000..0x10fff leads to 0x7000000, 0x11000..0x11fff to 0x5000000: apart in the client.
struct TwoPages {
  TwoPages() {
    mm->Map(0x7000000, 0x1000);
    mm->Map(0x5000000, 0x1000);
    ioas.Insert({{0x10000, 0x10fff}, ClientAddress{0x7000000}, {true, true}, mm});
    ioas.Insert({{0x11000, 0x11fff}, ClientAddress{0x5000000}, {true, true}, mm});
  }
  std::shared_ptr<FakeMm> mm = std::make_shared<FakeMm>();
  Ioas ioas;
};

Iommu Unit(unsigned width, std::vector<ReservedRegion> reserved) {
  Iommu iommu;
  iommu.address_width = width;
  iommu.reserved = std::move(reserved);
  return iommu;
}

const ReservedRegion kMsiWindow{{0xfee00000, 0xfeefffff}, ReservedKind::kMsi};

}  // namespace

TEST_CASE("a read over two mappings takes each part from its own memory", "[iommu]") {
  TwoPages bench;
  bench.mm->Put(0x7000ffc, u32{0x44332211});
  bench.mm->Put(0x5000000, u32{0x88776655});
  u64 value = 0;
  CHECK(bench.ioas.Read(Iova{0x10ffc}, BytesOf(value)));
  CHECK(value == 0x8877665544332211);
}

TEST_CASE("a write over two mappings reaches both memories", "[iommu]") {
  TwoPages bench;
  const u64 value = 0x8877665544332211;
  CHECK(bench.ioas.Write(Iova{0x10ffc}, BytesOf(value)));
  CHECK(bench.mm->Get<u32>(0x7000ffc) == 0x44332211);
  CHECK(bench.mm->Get<u32>(0x5000000) == 0x88776655);
}

TEST_CASE("an access that runs out of mappings faults there, with the bytes before it moved",
          "[iommu]") {
  TwoPages bench;
  const std::array<u32, 3> words{1, 2, 3};
  const auto result = bench.ioas.Write(Iova{0x11ff8}, BytesOf(words));
  REQUIRE_FALSE(result);
  CHECK(result.error().reason == FaultReason::kNotMapped);
  CHECK(result.error().access == Access::kWrite);
  CHECK(result.error().at == Iova{0x12000});
  CHECK(result.error().length == 12);
  CHECK(bench.mm->Get<u32>(0x5000ffc) == 2);
}

TEST_CASE("a read that runs out of mappings says where and how long it was", "[iommu]") {
  TwoPages bench;
  std::array<std::byte, 32> bytes{};
  const auto result = bench.ioas.Read(Iova{0x11ff0}, bytes);
  REQUIRE_FALSE(result);
  CHECK(result.error().at == Iova{0x12000});
  CHECK(result.error().length == 32);
}

TEST_CASE("an access before, between and after mappings is not mapped", "[iommu]") {
  TwoPages bench;
  u8 byte = 0;
  CHECK(bench.ioas.Read(Iova{0xffff}, BytesOf(byte)).error().reason == FaultReason::kNotMapped);
  CHECK(bench.ioas.Read(Iova{0x12000}, BytesOf(byte)).error().reason == FaultReason::kNotMapped);
  CHECK(bench.ioas.Read(Iova{~u64{0}}, BytesOf(byte)).error().reason == FaultReason::kNotMapped);
}

TEST_CASE("a mapping without READ denies reads and one without WRITE denies writes", "[iommu]") {
  TwoPages bench;
  bench.ioas.mappings().at(0x10000).permissions = {.read = false, .write = true};
  bench.ioas.mappings().at(0x11000).permissions = {.read = true, .write = false};
  u8 byte = 0;
  CHECK(bench.ioas.Read(Iova{0x10000}, BytesOf(byte)).error().reason == FaultReason::kReadDenied);
  CHECK(bench.ioas.Write(Iova{0x10000}, BytesOf(byte)));
  CHECK(bench.ioas.Write(Iova{0x11000}, BytesOf(byte)).error().reason == FaultReason::kWriteDenied);
  CHECK(bench.ioas.Read(Iova{0x11000}, BytesOf(byte)));
}

TEST_CASE("memory that is gone behind a mapping is a fault of its own", "[iommu]") {
  TwoPages bench;
  bench.mm->Unmap(0x5000000);
  u64 value = 0;
  const auto result = bench.ioas.Read(Iova{0x10ffc}, BytesOf(value));
  CHECK(result.error().reason == FaultReason::kMemoryGone);
  CHECK(result.error().at == Iova{0x11000});
  bench.mm->Die();
  CHECK(bench.ioas.Read(Iova{0x10000}, BytesOf(value)).error().reason == FaultReason::kMemoryGone);
}

TEST_CASE("an access of no bytes succeeds anywhere", "[iommu]") {
  TwoPages bench;
  CHECK(bench.ioas.Read(Iova{0xdead000}, {}));
  CHECK(bench.ioas.Write(Iova{0xdead000}, {}));
}

TEST_CASE("an aligned write of 16 or 8 bytes stores its second half last", "[iommu]") {
  TwoPages bench;
  const std::array<std::byte, 16> record{};
  CHECK(bench.ioas.Write(Iova{0x10010}, record));
  CHECK(bench.ioas.Write(Iova{0x10028}, std::span{record}.first(8)));
  CHECK(bench.mm->stores ==
        std::vector<FakeMm::Store>{{0x7000010, 8}, {0x7000018, 8}, {0x7000028, 4}, {0x700002c, 4}});
}

TEST_CASE("other writes are stored in one piece per mapping", "[iommu]") {
  TwoPages bench;
  const std::array<std::byte, 24> bytes{};
  CHECK(bench.ioas.Write(Iova{0x10008}, std::span{bytes}.first(16)));
  CHECK(bench.ioas.Write(Iova{0x10fff}, std::span{bytes}.first(4)));
  CHECK(bench.mm->stores ==
        std::vector<FakeMm::Store>{{0x7000008, 16}, {0x7000fff, 1}, {0x5000000, 3}});
}

TEST_CASE("an aligned write that faults says the length of the whole", "[iommu]") {
  TwoPages bench;
  const std::array<std::byte, 16> record{};
  const auto result = bench.ioas.Write(Iova{0x12000}, record);
  CHECK(result.error().at == Iova{0x12000});
  CHECK(result.error().length == 16);
}

TEST_CASE("the last byte of the address space can be read", "[iommu]") {
  TwoPages bench;
  bench.mm->Map(0x9000000, 0x1000);
  bench.ioas.Insert(
      {{0xfffffffffffff000, ~u64{0}}, ClientAddress{0x9000000}, {true, true}, bench.mm});
  bench.mm->Put(0x9000fff, u8{0x5a});
  u8 byte = 0;
  CHECK(bench.ioas.Read(Iova{~u64{0}}, BytesOf(byte)));
  CHECK(byte == 0x5a);
}

TEST_CASE("the first overlap of a range is found whichever side it is on", "[iommu]") {
  TwoPages bench;
  CHECK(bench.ioas.FirstOverlap({0, ~u64{0}})->first == 0x10000);
  CHECK(bench.ioas.FirstOverlap({0x10fff, 0x11000})->first == 0x10000);
  CHECK(bench.ioas.FirstOverlap({0x11000, 0x11000})->first == 0x11000);
  CHECK(bench.ioas.FirstOverlap({0x11fff, 0x20000})->first == 0x11000);
  CHECK(bench.ioas.FirstOverlap({0x12000, 0x20000}) == bench.ioas.mappings().end());
  CHECK(bench.ioas.FirstOverlap({0, 0xffff}) == bench.ioas.mappings().end());
}

TEST_CASE("allowed ranges at 39 bits leave out the MSI window", "[iommu]") {
  CHECK(Unit(39, {kMsiWindow}).AllowedRanges() ==
        std::vector<IovaRange>{{0, 0xfedfffff}, {0xfef00000, 0x7fffffffff}});
}

TEST_CASE("allowed ranges at 48 bits leave out the MSI window", "[iommu]") {
  CHECK(Unit(48, {kMsiWindow}).AllowedRanges() ==
        std::vector<IovaRange>{{0, 0xfedfffff}, {0xfef00000, 0xffffffffffff}});
}

TEST_CASE("allowed ranges at 64 bits reach the end", "[iommu]") {
  CHECK(Unit(64, {kMsiWindow}).AllowedRanges() ==
        std::vector<IovaRange>{{0, 0xfedfffff}, {0xfef00000, 0xffffffffffffffff}});
  CHECK(Unit(64, {}).AllowedRanges() == std::vector<IovaRange>{{0, 0xffffffffffffffff}});
}

TEST_CASE("a reserved region at either end, beyond the aperture, or next to another", "[iommu]") {
  CHECK(Unit(32, {{{0, 0xfff}, ReservedKind::kReserved},
                  {{0x1000, 0x1fff}, ReservedKind::kDirect},
                  {{0xfff00000, 0x1ffffffff}, ReservedKind::kReserved}})
            .AllowedRanges() == std::vector<IovaRange>{{0x2000, 0xffefffff}});
  CHECK(Unit(32, {{{0x100000000, 0x1ffffffff}, ReservedKind::kReserved}}).AllowedRanges() ==
        std::vector<IovaRange>{{0, 0xffffffff}});
  CHECK(Unit(64, {{{0xfffffffffffff000, ~u64{0}}, ReservedKind::kReserved}}).AllowedRanges() ==
        std::vector<IovaRange>{{0, 0xffffffffffffefff}});
}

TEST_CASE("direct-relaxable regions may be used", "[iommu]") {
  CHECK(Unit(32, {{{0x1000, 0x1fff}, ReservedKind::kDirectRelaxable}}).AllowedRanges() ==
        std::vector<IovaRange>{{0, 0xffffffff}});
}

TEST_CASE("the smallest page is the lowest bit", "[iommu]") {
  Iommu iommu;
  CHECK(iommu.SmallestPage() == 0x1000);
  iommu.page_sizes = 64_KiB | 512_MiB;
  CHECK(iommu.SmallestPage() == 0x10000);
}
