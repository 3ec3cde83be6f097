// The config space that a client sees, through the config region.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u64 kCommand = PCI_COMMAND;

struct Lab : Bench {
  explicit Lab(const Model& model = kPlenty, void (*prepare)(ConfigSpace&) = nullptr)
      : Bench({{kFirst, &model, 1}}) {
    if (prepare != nullptr) prepare(slot().config());
    opened = OpenAll();
  }
  template <class T = u32>
  T Get(u64 at) {
    return Load<T>(opened.device, kConfig + at);
  }
  template <class T = u32>
  void Set(u64 at, T value) {
    Store<T>(opened.device, kConfig + at, value);
  }
  u8 Cap(u8 id) { return slot().config().FindCapability(id); }
  long Msi(std::vector<int> fds) {
    return SetTriggers(opened.device, VFIO_PCI_MSI_IRQ_INDEX, 0, std::move(fds));
  }
  Opened opened{};
};

}  // namespace

TEST_CASE("identity, class and subsystem are read-only and writes count as done", "[vconfig]") {
  Lab bench;
  bench.Set(PCI_VENDOR_ID, 0xffffffffu);
  bench.Set(PCI_CLASS_REVISION, 0xffffffffu);
  bench.Set(PCI_SUBSYSTEM_VENDOR_ID, 0xffffffffu);
  bench.Set<u8>(PCI_INTERRUPT_PIN, 0xff);
  bench.Set<u8>(PCI_CAPABILITY_LIST, 0xff);
  CHECK(bench.Get(PCI_VENDOR_ID) == 0xabcd1234);
  CHECK(bench.Get(PCI_CLASS_REVISION) == 0x00ff0000);
  CHECK(bench.Get(PCI_SUBSYSTEM_VENDOR_ID) == 0x11001af4);
  CHECK(bench.Get<u8>(PCI_INTERRUPT_PIN) == 1);
  CHECK(bench.Get<u8>(PCI_CAPABILITY_LIST) == 0x40);
}

TEST_CASE("COMMAND keeps what the hardware implements", "[vconfig]") {
  Lab bench;
  bench.Set<u16>(kCommand, 0xffff);
  CHECK(bench.Get<u16>(kCommand) == 0x0507);
  bench.Set<u16>(kCommand, 0);
  CHECK(bench.Get<u16>(kCommand) == 0);
}

TEST_CASE("the INTX_DISABLE of the client is not the hardware's", "[vconfig]") {
  Lab bench;
  const int eventfd = bench.client.AddEventfd();
  REQUIRE(bench.SetTriggers(bench.opened.device, VFIO_PCI_INTX_IRQ_INDEX, 0, {eventfd}) == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.Get<u16>(kCommand) == 0x0103);
  bench.Set<u16>(kCommand, 0x0406);
  CHECK(bench.Get<u16>(kCommand) == 0x0406);
}

TEST_CASE("STATUS cannot be written and shows INTx", "[vconfig]") {
  Lab bench;
  bench.slot().SetIntx(true);
  bench.Set<u16>(PCI_STATUS, 0xffff);
  CHECK(bench.Get<u16>(PCI_STATUS) == (PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT));
}

TEST_CASE("a write of COMMAND and STATUS together reaches COMMAND", "[vconfig]") {
  Lab bench;
  bench.Set<u32>(kCommand, 0xffff0000);
  CHECK(bench.Get<u16>(kCommand) == 0);
  CHECK(bench.Get<u16>(PCI_STATUS) == PCI_STATUS_CAP_LIST);
}

TEST_CASE("INTERRUPT_LINE is scratch that the hardware does not see", "[vconfig]") {
  Lab bench;
  bench.Set<u8>(PCI_INTERRUPT_LINE, 0x5a);
  CHECK(bench.Get<u8>(PCI_INTERRUPT_LINE) == 0x5a);
  CHECK(bench.slot().config().Get(PCI_INTERRUPT_LINE, 1) == 0);
}

TEST_CASE("BARs begin with the host's addresses", "[vconfig]") {
  Lab bench;
  CHECK(bench.Get(0x10) == 0xe000000c);
  CHECK(bench.Get(0x14) == 0);
  CHECK(bench.Get(0x18) == 0x0000c201);
  CHECK(bench.Get(0x1c) == 0xe3000000);
}

TEST_CASE("a BAR written with ones reads as its size mask and type", "[vconfig]") {
  Lab bench;
  bench.Set(0x10, 0xffffffffu);
  bench.Set(0x14, 0xffffffffu);
  bench.Set(0x18, 0xffffffffu);
  bench.Set(0x1c, 0xffffffffu);
  CHECK(bench.Get(0x10) == 0xffff000c);
  CHECK(bench.Get(0x14) == 0xffffffff);
  CHECK(bench.Get(0x18) == 0xffffffe1);
  CHECK(bench.Get(0x1c) == 0xfffff000);
}

TEST_CASE("a BAR keeps the address a client gives it and the hardware keeps its own", "[vconfig]") {
  Lab bench;
  bench.Set(0x1c, 0x12345678u);
  CHECK(bench.Get(0x1c) == 0x12345000);
  CHECK(bench.slot().config().Get(0x1c, 4) == 0xe3000000);
  CHECK(bench.Load<u32>(bench.opened.device, Region(3) + 4) == 0x33333333);
}

TEST_CASE("BARs that are absent and the ROM read as zero whatever was written", "[vconfig]") {
  Lab bench;
  bench.Set(0x20, 0xffffffffu);
  bench.Set(PCI_ROM_ADDRESS, 0xffffffffu);
  CHECK(bench.Get(0x20) == 0);
  CHECK(bench.Get(PCI_ROM_ADDRESS) == 0);
}

TEST_CASE("MSI ENABLE and vector count read as zero until SET_IRQS enables MSI", "[vconfig]") {
  Lab bench;
  const u8 msi = bench.Cap(PCI_CAP_ID_MSI);
  bench.Set<u16>(msi + 2u, 0x00b7);
  CHECK(bench.Get<u16>(msi + 2u) == 0x0086);  // 64 bits, 8 vectors possible
}

TEST_CASE("MSI ENABLE can be set while MSI is enabled, the count up to what it was enabled with",
          "[vconfig]") {
  Lab bench;
  const u8 msi = bench.Cap(PCI_CAP_ID_MSI);
  REQUIRE(bench.Msi({bench.client.AddEventfd(), -1, -1}) == 0);
  bench.Set<u16>(msi + 2u, 0x00b7);
  CHECK(bench.Get<u16>(msi + 2u) == 0x00a7);  // 4 vectors
  bench.Set<u16>(msi + 2u, 0x0097);
  CHECK(bench.Get<u16>(msi + 2u) == 0x0097);
  CHECK((bench.slot().config().Get(msi + 2u, 2) & 0x0071) == 0x0011);
}

TEST_CASE("a write that ends where MSI's control word begins writes ENABLE to the device",
          "[vconfig]") {
  Lab bench;
  const u8 msi = bench.Cap(PCI_CAP_ID_MSI);
  REQUIRE(bench.Msi({bench.client.AddEventfd(), -1, -1}) == 0);
  const auto enabled = [&] { return bench.slot().config().Get(msi + 2u, 2) & PCI_MSI_FLAGS_ENABLE; };
  bench.Set<u8>(msi, 0);
  CHECK(enabled());
  bench.Set<u8>(msi + 1u, 0);
  CHECK_FALSE(enabled());
  bench.Set<u16>(msi + 2u, PCI_MSI_FLAGS_ENABLE);
  bench.Set<u16>(msi, 0);
  CHECK(enabled());
}

TEST_CASE("MSI address and data are scratch that the hardware does not see", "[vconfig]") {
  Lab bench;
  const u8 msi = bench.Cap(PCI_CAP_ID_MSI);
  bench.Set(msi + 4u, 0xfee00000u);
  bench.Set(msi + 8u, 0x00000001u);
  bench.Set<u16>(msi + 12u, 0x4041);
  CHECK(bench.Get(msi + 4u) == 0xfee00000);
  CHECK(bench.Get(msi + 8u) == 1);
  CHECK(bench.Get<u16>(msi + 12u) == 0x4041);
  CHECK(bench.slot().config().Get(msi + 4u, 4) == 0);
}

TEST_CASE("the MSI-X capability is read-only", "[vconfig]") {
  Lab bench;
  const u8 msix = bench.Cap(PCI_CAP_ID_MSIX);
  bench.Set<u16>(msix + 2u, 0xffff);
  bench.Set(msix + 4u, 0xffffffffu);
  CHECK(bench.Get<u16>(msix + 2u) == 0x0003);
  CHECK(bench.Get(msix + 4u) == 0x00000005);
  CHECK(bench.Get(msix + 8u) == 0x00001005);
}

TEST_CASE("the MSI-X ENABLE bit shows what SET_IRQS did", "[vconfig]") {
  Lab bench;
  const u8 msix = bench.Cap(PCI_CAP_ID_MSIX);
  REQUIRE(bench.SetTriggers(bench.opened.device, VFIO_PCI_MSIX_IRQ_INDEX, 0, {-1}) == 0);
  CHECK(bench.Get<u16>(msix + 2u) == 0x8003);
}

TEST_CASE("a function-level reset resets the device and its bit reads as zero", "[vconfig]") {
  Lab bench;
  const u8 express = bench.Cap(PCI_CAP_ID_EXP);
  bench.Store<u32>(bench.opened.device, Region(3) + 4, 0);
  bench.Set<u16>(express + PCI_EXP_DEVCTL, 0x8000);
  CHECK(bench.Get<u16>(express + PCI_EXP_DEVCTL) == 0);
  CHECK(bench.Load<u32>(bench.opened.device, Region(3) + 4) == 0x33333333);
}

TEST_CASE("next pointers cannot be written", "[vconfig]") {
  Lab bench;
  bench.Set<u8>(0x41, 0x00);
  CHECK(bench.Get<u8>(0x41) == 0x50);
}

TEST_CASE("capabilities that vfio-pci does not know drop out of the list", "[vconfig]") {
  Lab bench(kPlenty, [](ConfigSpace& config) {
    config.AddCapability(PCI_CAP_ID_SSVID, 8, 0xa0);
    config.AddCapability(PCI_CAP_ID_VNDR, 12, 0xb0);
    config.Set(0xb2, 1, 12);
  });
  CHECK(bench.Get<u8>(PCI_CAPABILITY_LIST) == 0x40);
  CHECK(bench.Get<u8>(0x41) == 0x50);
  CHECK(bench.Get<u8>(0x51) == 0x5c);
  CHECK(bench.Get<u8>(0x5d) == 0xb0);
  CHECK(bench.Get<u8>(0xb1) == 0);
}

TEST_CASE("a hidden first capability leaves the list to the second", "[vconfig]") {
  Lab bench(kBare, [](ConfigSpace& config) {
    config.AddCapability(PCI_CAP_ID_SSVID, 8, 0x40);
    config.AddCapability(PCI_CAP_ID_AF, 6, 0x50);
  });
  CHECK(bench.Get<u8>(PCI_CAPABILITY_LIST) == 0x50);
  CHECK((bench.Get<u16>(PCI_STATUS) & PCI_STATUS_CAP_LIST) != 0);
}

TEST_CASE("when no capability is left, STATUS does not say that there is a list", "[vconfig]") {
  Lab bench(kBare, [](ConfigSpace& config) { config.AddCapability(PCI_CAP_ID_SSVID, 8); });
  CHECK(bench.Get<u8>(PCI_CAPABILITY_LIST) == 0);
  CHECK((bench.Get<u16>(PCI_STATUS) & PCI_STATUS_CAP_LIST) == 0);
}

TEST_CASE("bytes of a hidden capability and of gaps are the hardware's own", "[vconfig]") {
  Lab bench(kBare, [](ConfigSpace& config) {
    config.AddCapability(PCI_CAP_ID_SSVID, 8, 0x40);
    config.MakeWritable(0x44, 4, 0x0000ffff);
  });
  bench.Set(0x44, 0x12345678u);
  CHECK(bench.Get(0x44) == 0x00005678);
  CHECK(bench.slot().config().Get(0x44, 4) == 0x5678);
}

TEST_CASE("a vendor-specific capability is written raw", "[vconfig]") {
  Lab bench(kBare, [](ConfigSpace& config) {
    config.AddCapability(PCI_CAP_ID_VNDR, 12);
    config.Set(0x42, 1, 12);
    config.MakeWritable(0x44, 4, 0xffffffff);
  });
  bench.Set(0x44, 0xcafef00du);
  CHECK(bench.slot().config().Get(0x44, 4) == 0xcafef00d);
}

TEST_CASE("unaligned reads and writes are cut so that each byte finds its owner", "[vconfig]") {
  Lab bench;
  std::array<std::byte, 7> bytes{};
  CHECK(bench.Read(bench.opened.device, kConfig + 0x01, bytes) == 7);
  CHECK(LoadLittleEndian(bytes) == 0x100103abcd12);  // 34[12 cd ab 03 01 10 00]
  const std::array ones{std::byte{0xff}, std::byte{0xff}, std::byte{0xff}, std::byte{0xff}};
  CHECK(bench.Write(bench.opened.device, kConfig + 0x3b, ones) == 4);
  CHECK(bench.Get<u8>(PCI_INTERRUPT_LINE) == 0xff);
  CHECK(bench.Get<u8>(PCI_INTERRUPT_PIN) == 1);
}

TEST_CASE("a write across the end of one capability into the next respects both", "[vconfig]") {
  Lab bench;
  std::array<std::byte, 8> ones;
  ones.fill(std::byte{0xff});
  CHECK(bench.Write(bench.opened.device, kConfig + 0x4a, ones) == 8);  // MSI ends at 0x4d
  CHECK(bench.Get<u16>(0x4c) == 0xffff);
  CHECK(bench.Get<u8>(0x50) == PCI_CAP_ID_MSIX);
}

TEST_CASE("the whole of a client's config space reads in one call", "[vconfig]") {
  Lab bench;
  std::array<std::byte, 4096> all{};
  CHECK(bench.Read(bench.opened.device, kConfig, all) == 4096);
  CHECK(LoadLittleEndian(std::span{all}.first(4)) == 0xabcd1234);
  CHECK(LoadLittleEndian(std::span{all}.subspan(0x100, 4)) == 0);
}
