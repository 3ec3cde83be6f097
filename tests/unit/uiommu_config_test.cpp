// The config space that a client of 2010 and 2011 sees.
#include <catch2/catch.hpp>

#include "support/early_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

struct Lab : EarlyBench {
  explicit Lab(const Model& model = kPlenty)
      : EarlyBench("A6", Only(model)), device(OpenInDomain()) {}
  template <class T>
  T Get(u64 at) {
    return Load<T>(device, Config(at));
  }
  template <class T>
  void Set(u64 at, T value) {
    Store<T>(device, Config(at), value);
  }
  u32 Hardware(std::size_t at, unsigned width) { return slot().config().Get(at, width); }
  int device;
};

}  // namespace

TEST_CASE("vendor and device come from the kernel and cannot be written", "[uiommu]") {
  Lab bench;
  bench.Set<u32>(PCI_VENDOR_ID, 0);
  CHECK(bench.Get<u32>(PCI_VENDOR_ID) == 0xabcd1234);
}

TEST_CASE("COMMAND: decoding and bus mastering reach the hardware", "[uiommu]") {
  Lab bench;
  bench.Set<u16>(PCI_COMMAND, 0);
  CHECK((bench.Hardware(PCI_COMMAND, 2) & 7) == 0);
  bench.Set<u16>(PCI_COMMAND, 7);
  CHECK((bench.Hardware(PCI_COMMAND, 2) & 7) == 7);
  CHECK((bench.Get<u16>(PCI_COMMAND) & 7) == 7);
}

TEST_CASE("COMMAND: INTX_DISABLE is the client's own, and masks", "[uiommu]") {
  Lab bench(fake_devices::kEdu);
  const int eventfd = bench.client.AddEventfd();
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {eventfd}) == 0);
  bench.slot().SetIntx(true);  // which masks it in the hardware
  CHECK((bench.Hardware(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE) != 0);
  CHECK((bench.Get<u16>(PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE) == 0);
  bench.slot().SetIntx(false);
  bench.Set<u16>(PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
  CHECK((bench.Hardware(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE) != 0);
  CHECK((bench.Get<u16>(PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE) != 0);
  bench.Set<u16>(PCI_COMMAND, 0);
  CHECK((bench.Hardware(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE) == 0);
}

TEST_CASE("STATUS, class and header type are the hardware's, read-only", "[uiommu]") {
  Lab bench;
  const u32 before = bench.Hardware(PCI_CLASS_REVISION, 4);
  bench.Set<u32>(PCI_CLASS_REVISION, ~before);
  CHECK(bench.Get<u32>(PCI_CLASS_REVISION) == before);
  bench.Set<u16>(PCI_STATUS, 0xffff);
  CHECK(bench.Get<u16>(PCI_STATUS) == bench.Hardware(PCI_STATUS, 2));
}

TEST_CASE("a BAR shows the host's address, masked, and sizes with ones", "[uiommu]") {
  Lab bench;
  CHECK((bench.Get<u32>(PCI_BASE_ADDRESS_0) & 0xf) == 0xc);
  CHECK((bench.Get<u32>(PCI_BASE_ADDRESS_0) & ~0xfu) == 0xe0000000);
  bench.Set<u32>(PCI_BASE_ADDRESS_0, 0xffffffff);
  bench.Set<u32>(PCI_BASE_ADDRESS_1, 0xffffffff);
  CHECK(bench.Get<u32>(PCI_BASE_ADDRESS_0) == 0xffff000c);
  CHECK(bench.Get<u32>(PCI_BASE_ADDRESS_1) == 0xffffffff);
  bench.Set<u32>(PCI_BASE_ADDRESS_2, 0xffffffff);
  CHECK(bench.Get<u32>(PCI_BASE_ADDRESS_2) == 0xffffffe1);
  bench.Set<u32>(PCI_BASE_ADDRESS_4, 0xffffffff);
  CHECK(bench.Get<u32>(PCI_BASE_ADDRESS_4) == 0);
  bench.Set<u32>(PCI_ROM_ADDRESS, 0xffffffff);
  CHECK(bench.Get<u32>(PCI_ROM_ADDRESS) == 0);
  CHECK((bench.Hardware(PCI_BASE_ADDRESS_0, 4) & ~0xfu) == 0xe0000000);
}

TEST_CASE("the interrupt line is the client's own; the cache line size the hardware's",
          "[uiommu]") {
  Lab bench;
  bench.Set<u8>(PCI_INTERRUPT_LINE, 0x42);
  CHECK(bench.Get<u8>(PCI_INTERRUPT_LINE) == 0x42);
  CHECK(bench.Hardware(PCI_INTERRUPT_LINE, 1) != 0x42);
  bench.Set<u8>(PCI_CACHE_LINE_SIZE, 0x10);
  CHECK(bench.Hardware(PCI_CACHE_LINE_SIZE, 1) == 0x10);
}

TEST_CASE("MSI: address and data are the client's own; its ioctl alone enables it", "[uiommu]") {
  Lab bench;
  const u8 msi = bench.slot().config().FindCapability(PCI_CAP_ID_MSI);
  bench.Set<u32>(msi + PCI_MSI_ADDRESS_LO, 0xfee01000);
  CHECK(bench.Get<u32>(msi + PCI_MSI_ADDRESS_LO) == 0xfee01000);
  CHECK(bench.Hardware(msi + PCI_MSI_ADDRESS_LO, 4) != 0xfee01000);
  bench.Set<u8>(msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | 3 << 4);
  CHECK((bench.Get<u8>(msi + PCI_MSI_FLAGS) & (PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE)) == 0);
  CHECK((bench.Get<u8>(msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_QMASK) == 0);
  std::vector<int> list{3};
  for (int i = 0; i < 3; ++i) list.push_back(bench.client.AddEventfd());
  REQUIRE(bench.Give(bench.device, kEarlyMsi, list) == 0);
  CHECK((bench.Get<u8>(msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_QMASK) >> 1 == 2);
  bench.Set<u8>(msi + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | 3 << 4);
  CHECK((bench.Get<u8>(msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_ENABLE) != 0);
  CHECK((bench.Get<u8>(msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_QSIZE) >> 4 == 2);
}

TEST_CASE("MSI-X is enabled by its ioctl alone", "[uiommu]") {
  Lab bench;
  const u8 msix = bench.slot().config().FindCapability(PCI_CAP_ID_MSIX);
  bench.Set<u16>(msix + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE);
  CHECK((bench.Get<u16>(msix + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE) == 0);
}

TEST_CASE("device control of PCI Express is the hardware's", "[uiommu]") {
  Lab bench;
  const u8 express = bench.slot().config().FindCapability(PCI_CAP_ID_EXP);
  bench.slot().config().MakeWritable(express + PCI_EXP_DEVCTL, 2, 0xffff);
  bench.Set<u16>(express + PCI_EXP_DEVCTL, 0x0fff);
  CHECK(bench.Hardware(express + PCI_EXP_DEVCTL, 2) == (0x0fff & ~PCI_EXP_DEVCTL_PHANTOM));
}

TEST_CASE("behind the header, what no capability owns reads as 0 and takes no writes", "[uiommu]") {
  Lab bench;
  bench.slot().config().Set(0xf8, 4, 0x12345678);
  CHECK(bench.Get<u32>(0xf8) == 0);
  bench.Set<u32>(0xf8, 0);
  CHECK(bench.Hardware(0xf8, 4) == 0x12345678);
}

TEST_CASE("config space is forgotten when the last file is closed", "[uiommu]") {
  EarlyBench bench;
  const int device = bench.OpenInDomain();
  bench.Store<u8>(device, bench.Config(PCI_INTERRUPT_LINE), u8{0x42});
  bench.Close(device);
  CHECK(bench.Load<u8>(bench.OpenDevice(), bench.Config(PCI_INTERRUPT_LINE)) != 0x42);
}

TEST_CASE("a function-level reset by device control resets", "[uiommu]") {
  Lab bench;
  const u8 express = bench.slot().config().FindCapability(PCI_CAP_ID_EXP);
  bench.slot().config().Set(express + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_FLR);
  const int device = bench.device;
  bench.Close(device);
  const int again = bench.OpenInDomain();
  bench.Store<u32>(again, bench.At(3, 4), 5);
  bench.Store<u16>(again, bench.Config(express + PCI_EXP_DEVCTL), PCI_EXP_DEVCTL_BCR_FLR);
  CHECK(bench.Load<u32>(again, bench.At(3, 4)) == 0x33333333);
  CHECK((bench.Load<u16>(again, bench.Config(express + PCI_EXP_DEVCTL)) & PCI_EXP_DEVCTL_BCR_FLR) ==
        0);
}
