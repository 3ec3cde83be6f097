// Addresses of functions and the configuration space that hardware shows.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "pci/bdf.hpp"
#include "pci/bridge_config.hpp"
#include "pci/function_config.hpp"

using namespace vfiolab;

namespace {

constexpr FunctionIdentity kIdentity{.vendor_id = 0x1234,
                                     .device_id = 0x5678,
                                     .subsystem_vendor_id = 0x1af4,
                                     .subsystem_id = 0x1100,
                                     .revision = 0x10,
                                     .class_code = 0x020000,
                                     .interrupt_pin = 1,
                                     .msi_vectors = 0,
                                     .msix_vectors = 0,
                                     .msix_bar = 5,
                                     .msix_pba_offset = 0,
                                     .express = false,
                                     .on_root_bus = false,
                                     .acs = std::nullopt,
                                     .multifunction = false};

}  // namespace

TEST_CASE("a BDF is read with and without a segment", "[bdf]") {
  CHECK(Bdf::Parse("0000:01:00.0") == Bdf{0, 1, 0, 0});
  CHECK(Bdf::Parse("01:1f.7") == Bdf{0, 1, 31, 7});
  CHECK(Bdf::Parse("FFFF:fF:1f.7") == Bdf{0xffff, 0xff, 31, 7});
  CHECK(Bdf::Parse("1:2:3.4") == Bdf{1, 2, 3, 4});
}

TEST_CASE("what is not quite a BDF is refused", "[bdf]") {
  CHECK_FALSE(Bdf::Parse(""));
  CHECK_FALSE(Bdf::Parse("01:00"));
  CHECK_FALSE(Bdf::Parse("0000:01:00.8"));
  CHECK_FALSE(Bdf::Parse("0000:01:20.0"));
  CHECK_FALSE(Bdf::Parse("0000:100:00.0"));
  CHECK_FALSE(Bdf::Parse("10000:01:00.0"));
  CHECK_FALSE(Bdf::Parse("0000:01:00.0 "));
  CHECK_FALSE(Bdf::Parse(" 0000:01:00.0"));
  CHECK_FALSE(Bdf::Parse("0000:01:00.00"));
  CHECK_FALSE(Bdf::Parse("0000:-1:00.0"));
  CHECK_FALSE(Bdf::Parse("0x00:01:00.0"));
  CHECK_FALSE(Bdf::Parse("0000::00.0"));
  CHECK_FALSE(Bdf::Parse(":01:00.0"));
  CHECK_FALSE(Bdf::Parse("0:0000:01:00.0"));
  CHECK_FALSE(Bdf::Parse("0000:01:0g.0"));
}

TEST_CASE("all 65536 requester ids print and parse back", "[bdf]") {
  unsigned wrong = 0;
  for (unsigned rid = 0; rid < 65536; ++rid) {
    const Bdf bdf{0, static_cast<u8>(rid >> 8), static_cast<u8>(rid >> 3 & 31),
                  static_cast<u8>(rid & 7)};
    const auto parsed = Bdf::Parse(bdf.ToString());
    if (parsed != bdf || bdf.RequesterId() != rid || bdf.Devfn() != (rid & 0xff)) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a BDF prints as the kernel names the device and sorts by position", "[bdf]") {
  CHECK(Bdf{0, 0x1f, 0x0a, 3}.ToString() == "0000:1f:0a.3");
  CHECK(Bdf{0, 1, 0, 7} < Bdf{0, 1, 1, 0});
  CHECK(Bdf{0, 0xff, 31, 7} < Bdf{1, 0, 0, 0});
}

TEST_CASE("config space stores writable bits only", "[config]") {
  ConfigSpace config(256);
  config.Set(0x10, 4, 0x12345678);
  config.MakeWritable(0x10, 4, 0xffff0000);
  const u32 ones = 0xffffffff;
  config.Write(0x10, BytesOf(ones));
  CHECK(config.Get(0x10, 4) == 0xffff5678);
  CHECK(config.Get(0x12, 2) == 0xffff);
}

TEST_CASE("capabilities form a list in the order they were added", "[config]") {
  ConfigSpace config(256);
  CHECK((config.Get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) == 0);
  CHECK(config.AddCapability(PCI_CAP_ID_MSI, 14) == 0x40);
  CHECK(config.AddCapability(PCI_CAP_ID_EXP, 60) == 0x50);
  CHECK(config.AddCapability(PCI_CAP_ID_VNDR, 8, 0xc0) == 0xc0);
  CHECK(config.AddCapability(PCI_CAP_ID_PM, 8) == 0xc8);
  CHECK((config.Get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) != 0);
  CHECK(config.Get(PCI_CAPABILITY_LIST, 1) == 0x40);
  CHECK(config.Get(0x41, 1) == 0x50);
  CHECK(config.Get(0x51, 1) == 0xc0);
  CHECK(config.Get(0xc1, 1) == 0xc8);
  CHECK(config.Get(0xc9, 1) == 0);
  CHECK(config.FindCapability(PCI_CAP_ID_VNDR) == 0xc0);
  CHECK(config.FindCapability(PCI_CAP_ID_MSIX) == 0);
}

TEST_CASE("a list of capabilities that loops ends the search", "[config]") {
  ConfigSpace config(256);
  config.AddCapability(PCI_CAP_ID_MSI, 14);
  config.Set(0x41, 1, 0x40);
  CHECK(config.FindCapability(PCI_CAP_ID_EXP) == 0);
}

TEST_CASE("a function shows its identity", "[config]") {
  FunctionIdentity identity = kIdentity;
  identity.multifunction = true;
  const ConfigSpace config = BuildFunctionConfig(identity, {});
  CHECK(config.size() == 256);
  CHECK(config.Get(PCI_VENDOR_ID, 4) == 0x56781234);
  CHECK(config.Get(PCI_CLASS_REVISION, 4) == 0x02000010);
  CHECK(config.Get(PCI_SUBSYSTEM_VENDOR_ID, 4) == 0x11001af4);
  CHECK(config.Get(PCI_HEADER_TYPE, 1) == 0x80);
  CHECK(config.Get(PCI_INTERRUPT_PIN, 1) == 1);
  CHECK(config.Get(PCI_STATUS, 2) == 0);
}

TEST_CASE("each kind of BAR has its type bits and its size as a mask", "[config]") {
  BarLayouts bars;
  bars[0] = BarLayout{.address = 0x800000000, .size = 8_GiB, .wide = true, .prefetchable = true};
  bars[2] = BarLayout{.address = 0xc000, .size = 32, .io = true};
  bars[3] = BarLayout{.address = 0xe0000000, .size = 64_KiB};
  ConfigSpace config = BuildFunctionConfig(kIdentity, bars);
  CHECK(config.Get(0x10, 4) == 0x0000000c);
  CHECK(config.Get(0x14, 4) == 0x00000008);
  CHECK(config.Get(0x18, 4) == 0x0000c001);
  CHECK(config.Get(0x1c, 4) == 0xe0000000);
  const u64 ones = ~u64{0};
  config.Write(0x10, BytesOf(ones));
  config.Write(0x18, BytesOf(ones));
  CHECK(config.Get(0x10, 4) == 0x0000000c);
  CHECK(config.Get(0x14, 4) == 0xfffffffe);
  CHECK(config.Get(0x18, 4) == 0xffffffe1);
  CHECK(config.Get(0x1c, 4) == 0xffff0000);
}

TEST_CASE("MSI, MSI-X and PCI Express show what the function has", "[config]") {
  FunctionIdentity identity = kIdentity;
  identity.msi_vectors = 8;
  identity.msix_vectors = 2048;
  identity.msix_pba_offset = 0x8000;
  identity.express = true;
  const ConfigSpace config = BuildFunctionConfig(identity, {});
  CHECK(config.size() == 4096);
  CHECK(config.FindCapability(PCI_CAP_ID_MSI) == 0x40);
  CHECK(config.Get(0x42, 2) == (PCI_MSI_FLAGS_64BIT | 3 << 1));
  const u8 msix = config.FindCapability(PCI_CAP_ID_MSIX);
  CHECK(config.Get(msix + 2u, 2) == 0x07ff);
  CHECK(config.Get(msix + 4u, 4) == 5);
  CHECK(config.Get(msix + 8u, 4) == 0x8005);
  const u8 express = config.FindCapability(PCI_CAP_ID_EXP);
  CHECK(config.Get(express + 2u, 2) == 0x0002);
  CHECK((config.Get(express + 4u, 4) & PCI_EXP_DEVCAP_FLR) != 0);
}

static BridgeIdentity RootPort(u8 secondary, u8 subordinate, u8 slot) {
  return {.kind = BridgeKind::kRootPort,
          .ids = UsualIds(BridgeKind::kRootPort),
          .acs = kUsualAcs,
          .multifunction = false,
          .primary = 0,
          .secondary = secondary,
          .subordinate = subordinate,
          .slot = slot};
}

TEST_CASE("a root port shows its buses, its windows and its slot", "[config]") {
  const ConfigSpace config =
      BuildBridgeConfig(RootPort(1, 3, 5), {.memory = std::pair{0xe0000000u, 0xe01fffffu},
                           .prefetchable = std::pair{u64{0x800000000}, u64{0x8000fffff}},
                           .io = {}});
  CHECK(config.Get(PCI_HEADER_TYPE, 1) == 1);
  CHECK(config.Get(PCI_CLASS_REVISION, 4) == 0x06040000);
  CHECK(config.Get(PCI_PRIMARY_BUS, 4) == 0x00030100);
  CHECK(config.Get(PCI_MEMORY_BASE, 4) == 0xe010e000);
  CHECK(config.Get(PCI_PREF_MEMORY_BASE, 4) == 0x00010001);
  CHECK(config.Get(PCI_PREF_BASE_UPPER32, 4) == 8);
  CHECK(config.Get(PCI_PREF_LIMIT_UPPER32, 4) == 8);
  CHECK(config.Get(PCI_IO_BASE, 1) > config.Get(PCI_IO_LIMIT, 1));
  const u8 express = config.FindCapability(PCI_CAP_ID_EXP);
  CHECK(config.Get(express + 2u, 2) == (2 | PCI_EXP_TYPE_ROOT_PORT << 4 | PCI_EXP_FLAGS_SLOT));
  CHECK(config.Get(express + PCI_EXP_SLTCAP, 4) >> 19 == 5);
}

TEST_CASE("a root port without windows has them closed: base above limit", "[config]") {
  const ConfigSpace config = BuildBridgeConfig(RootPort(1, 1, 0), {});
  CHECK(config.Get(PCI_MEMORY_BASE, 2) > config.Get(PCI_MEMORY_LIMIT, 2));
  CHECK((config.Get(PCI_PREF_MEMORY_BASE, 2) & 0xfff0) >
        (config.Get(PCI_PREF_MEMORY_LIMIT, 2) & 0xfff0));
}
