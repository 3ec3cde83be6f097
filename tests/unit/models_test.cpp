// The registry, scratch and pci-testdev against their data sheets, and the MSI-X table.
#include <catch2/catch.hpp>

#include "device/msix_table.hpp"
#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

struct Lab : Bench {
  explicit Lab(const Model& model, std::map<std::string, u64> params = {})
      : Bench({{kFirst, &model, 1, "vfio-pci", std::move(params)}}), device(OpenAll().device) {}
  template <class T = u32>
  T Get(u32 bar, u64 at) {
    return Load<T>(device, Region(bar) + at);
  }
  template <class T = u32>
  void Set(u32 bar, u64 at, T value) {
    Store<T>(device, Region(bar) + at, value);
  }
  int device;
};

struct Testdev : Lab {
  explicit Testdev(u64 membar = 0) : Lab(fake_devices::kPciTestdev, {{"membar", membar}}) {}
  std::string Name(u32 bar) {
    std::string name;
    for (u64 at = 16; u8 c = Get<u8>(bar, at); ++at) name += static_cast<char>(c);
    return name;
  }
};

}  // namespace

TEST_CASE("the registry lists the models by name", "[models]") {
  const auto models = fake_devices::Models();
  REQUIRE(models.size() == 6);
  CHECK(models[0].name == "copier");
  CHECK(models[1].name == "doorbell");
  CHECK(models[2].name == "edu");
  CHECK(models[3].name == "pci-testdev");
  CHECK(models[4].name == "replica");
  CHECK(models[5].name == "scratch");
}

TEST_CASE("scratch remembers a word and counts its writes", "[models]") {
  Lab bench(fake_devices::kScratch);
  CHECK(bench.Get(0, 4) == 0);
  bench.Set(0, 0, 0x12345678u);
  bench.Set<u8>(0, 0, 0xff);
  CHECK(bench.Get(0, 0) == 0x123456ff);
  CHECK(bench.Get(0, 4) == 2);
}

TEST_CASE("scratch ignores writes to its count and forgets all when reset", "[models]") {
  Lab bench(fake_devices::kScratch);
  bench.Set(0, 4, 0xffffffffu);
  CHECK(bench.Get(0, 4) == 0);
  bench.Set(0, 0, 7u);
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  CHECK(bench.Get(0, 0) == 0);
  CHECK(bench.Get(0, 4) == 0);
}

TEST_CASE("scratch without vectors has no MSI-X and no BAR for it", "[models]") {
  Lab bench(fake_devices::kScratch);
  CHECK(bench.slot().device().bar(5) == nullptr);
  vfio_irq_info info{.argsz = 16, .index = VFIO_PCI_MSIX_IRQ_INDEX};
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_GET_IRQ_INFO, info) == 0);
  CHECK(info.count == 0);
}

TEST_CASE("scratch with 100 vectors has a table and its pending bits in BAR5", "[models]") {
  Lab bench(fake_devices::kScratch, {{"msix_vectors", 100}});
  CHECK(bench.slot().device().bar(5)->spec.size == 8_KiB);
  vfio_irq_info info{.argsz = 16, .index = VFIO_PCI_MSIX_IRQ_INDEX};
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_GET_IRQ_INFO, info) == 0);
  CHECK(info.count == 100);
}

TEST_CASE("an MSI-X table is followed by its pending bits on a page of their own", "[msix]") {
  CHECK(MsixTable::PbaOffset(1) == 0x1000);
  CHECK(MsixTable::PbaOffset(256) == 0x1000);
  CHECK(MsixTable::PbaOffset(257) == 0x2000);
  CHECK(MsixTable::BarSize(1) == 0x2000);
  CHECK(MsixTable::BarSize(2048) == 0x10000);
}

TEST_CASE("vectors begin masked, entries can be written and pending bits cannot", "[msix]") {
  MsixTable table(2);
  u64 ones = ~u64{0};
  u64 value = 0;
  table.Read(8, BytesOf(value));
  CHECK(value == 0x100000000);
  table.Write(8, BytesOf(ones));
  table.Write(0x1000, BytesOf(ones));
  table.Read(8, BytesOf(value));
  CHECK(value == ones);
  table.Read(0x1000, BytesOf(value));
  CHECK(value == 0);
  table.Reset();
  table.Read(8, BytesOf(value));
  CHECK(value == 0x100000000);
}

TEST_CASE("pci-testdev shows nothing until a test is chosen", "[testdev]") {
  Testdev bench;
  CHECK(bench.Get(0, 0) == 0);
  CHECK(bench.Get(0, 12) == 0);
}

TEST_CASE("pci-testdev describes the memory test that was chosen", "[testdev]") {
  Testdev bench;
  bench.Set<u8>(0, 0, 0);
  CHECK(bench.Get<u8>(0, 0) == 0);
  CHECK(bench.Get<u8>(0, 1) == 1);
  CHECK(bench.Get(0, 4) == 2048);
  CHECK(bench.Get<u8>(0, 8) == 0xfa);
  CHECK(bench.Get(0, 12) == 0);
  CHECK(bench.Name(0) == "mmio-no-eventfd");
}

TEST_CASE("pci-testdev counts matching writes to the test's offset", "[testdev]") {
  Testdev bench;
  bench.Set<u8>(0, 0, 0);
  bench.Set<u8>(0, 2048, 0xfa);
  bench.Set<u8>(0, 2048, 0xfa);
  bench.Set<u8>(0, 2048, 0xfb);
  bench.Set<u8>(0, 2049, 0xfa);
  CHECK(bench.Get(0, 12) == 2);
  bench.Set<u8>(0, 0, 0);
  CHECK(bench.Get(0, 12) == 0);
}

TEST_CASE("pci-testdev has its port tests in BAR1", "[testdev]") {
  Testdev bench;
  bench.Set<u8>(1, 0, 0);
  CHECK(bench.Get<u8>(1, 1) == 1);
  const u32 offset = bench.Get(1, 4);
  CHECK(bench.Name(1) == "portio-no-eventfd");
  bench.Set<u8>(1, offset, bench.Get<u8>(1, 8));
  CHECK(bench.Get(1, 12) == 1);
}

TEST_CASE("pci-testdev has no further test than the third: its width reads as zero", "[testdev]") {
  Testdev bench;
  bench.Set<u8>(0, 0, 2);
  CHECK(bench.Get<u8>(0, 1) == 1);
  bench.Set<u8>(0, 0, 3);
  CHECK(bench.Get<u8>(0, 1) == 0);
}

TEST_CASE("pci-testdev has memory in BAR2 when asked, and it survives a reset", "[testdev]") {
  Testdev bench(64_KiB);
  bench.Set(2, 0xfffc, 0x12345678u);
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  CHECK(bench.Get(2, 0xfffc) == 0x12345678);
}
