// Replicas of the devices in tests/referee/machine, as a client of VFIO sees them.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "pci/function_reset.hpp"
#include "support/bench.hpp"
#include "topology/config_dump.hpp"
#include "topology_models.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

std::vector<std::byte> DumpOf(const std::string& name) {
  auto bytes = topology::ParseDump(topology::TextOf(
      topology::kSourceDir + "/tests/referee/machines/referee/" + name + ".config"));
  Must(bool(bytes));
  return *bytes;
}

std::unique_ptr<PciDevice> Create(DeviceHost& host, std::vector<std::byte> config,
                                  const std::map<std::string, u64>& bars) {
  const Model& model = fake_devices::kReplica;
  return model.create(model, host, Params(model.params, bars, {{"config", std::move(config)}}));
}

const Model kE1000e{"e1000e", "", {}, [](const Model&, DeviceHost& host, const Params&) {
                      return Create(
                          host, DumpOf("e1000e"),
                          {{"bar0", 128_KiB}, {"bar1", 128_KiB}, {"bar2", 32}, {"bar3", 16_KiB}});
                    }};
const Model kNvme{"nvme", "", {}, [](const Model&, DeviceHost& host, const Params&) {
                    return Create(host, DumpOf("nvme"), {{"bar0", 16_KiB}});
                  }};
// An e1000 with Advanced Features at 0xe4: the last of its list.
const Model kAdvanced{"af", "", {}, [](const Model&, DeviceHost& host, const Params&) {
                        auto config = DumpOf("e1000");
                        config[PCI_STATUS] |= std::byte{PCI_STATUS_CAP_LIST};
                        config[PCI_CAPABILITY_LIST] = std::byte{0xe4};
                        config[0xe4] = std::byte{PCI_CAP_ID_AF};
                        config[0xe6] = std::byte{6};
                        config[0xe7] = std::byte{PCI_AF_CAP_TP | PCI_AF_CAP_FLR};
                        return Create(host, std::move(config), {{"bar0", 128_KiB}, {"bar1", 64}});
                      }};

struct Lab : Bench {
  explicit Lab(const Model& model) : Bench({{kFirst, &model, 1}}), device(OpenAll().device) {}
  template <class T = u32>
  T Get(u64 at) {
    return Load<T>(device, at);
  }
  template <class T = u32>
  void Set(u64 at, T value) {
    Store<T>(device, at, value);
  }
  int device;
};

constexpr u64 kPowerControl = kConfig + 0xc8 + PCI_PM_CTRL;

}  // namespace

TEST_CASE("a replica shows the capabilities of its dump where they are there", "[replica]") {
  Lab bench(kE1000e);
  CHECK(bench.Get(kConfig) == 0x10d38086);
  CHECK(bench.Get<u8>(kConfig + PCI_CAPABILITY_LIST) == 0xc8);
  CHECK(bench.Get<u16>(kConfig + 0xc8) == 0xd001);
  CHECK(bench.Get<u16>(kConfig + 0xd0) == 0xe005);
  CHECK(bench.Get<u16>(kConfig + 0xe0) == 0xa010);
  CHECK(bench.Get<u16>(kConfig + 0xa0) == 0x0011);
  CHECK(bench.Get(kConfig + 0x100) == 0x14020001);
  CHECK(bench.Get(kConfig + 0x140) == 0x00010003);
}

TEST_CASE("a replica has the addresses of its machine and not those of its dump", "[replica]") {
  Lab bench(kE1000e);
  CHECK(bench.Get(kConfig + PCI_BASE_ADDRESS_0) == 0xe0000000);
  CHECK(bench.Get(kConfig + PCI_BASE_ADDRESS_2) == 0x0000c201);
  CHECK(bench.slot().config().Get(PCI_INTERRUPT_LINE, 1) == 0);
}

TEST_CASE("a replica has as many interrupts as its dump says", "[replica]") {
  Lab bench(kE1000e);
  const auto count = [&](u32 index) {
    vfio_irq_info info{.argsz = sizeof info, .index = index};
    REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_GET_IRQ_INFO, info) == 0);
    return info.count;
  };
  CHECK(count(VFIO_PCI_INTX_IRQ_INDEX) == 1);
  CHECK(count(VFIO_PCI_MSI_IRQ_INDEX) == 1);
  CHECK(count(VFIO_PCI_MSIX_IRQ_INDEX) == 5);
}

TEST_CASE("memory and ports of a replica remember", "[replica]") {
  Lab bench(kE1000e);
  bench.Set(Region(0) + 0x1fffc, 0x12345678u);
  bench.Set(Region(2) + 28, 0x9abcdef0u);
  CHECK(bench.Get(Region(0) + 0x1fffc) == 0x12345678);
  CHECK(bench.Get(Region(2) + 28) == 0x9abcdef0);
}

TEST_CASE("the MSI-X table of a replica is hidden where its dump says and memory elsewhere",
          "[replica]") {
  Lab bench(kNvme);  // 65 vectors at 0x2000, pending bits at 0x3000
  for (const u64 at : {0x0u, 0x1ffcu, 0x2410u, 0x3010u}) {
    bench.Set(Region(0) + at, 0xcafef00du);
    CHECK(bench.Get(Region(0) + at) == 0xcafef00d);
  }
  for (const u64 at : {0x2000u, 0x240cu}) CHECK(bench.Get(Region(0) + at) == 0xffffffff);
  bench.Set(Region(0) + 0x3000, 0xcafef00du);
  CHECK(bench.Get(Region(0) + 0x3000) == 0);
  std::array<std::byte, 16> across{};
  REQUIRE(bench.Read(bench.device, Region(0) + 0x1ff8, across) == 16);
  CHECK(LoadLittleEndian(std::span{across}.first(8)) == 0xcafef00d00000000);
  CHECK(LoadLittleEndian(std::span{across}.last(8)) == ~u64{0});
}

TEST_CASE("bytes of no capability are read-only in a replica", "[replica]") {
  Lab bench(kNvme);
  bench.Set(kConfig + 0xf0, 0xffffffffu);
  CHECK(bench.Get(kConfig + 0xf0) == 0);
}

TEST_CASE("the masks of Advanced Error Reporting can be written as far as they go", "[replica]") {
  Lab bench(kE1000e);
  bench.Set(kConfig + 0x100 + PCI_ERR_UNCOR_MASK, 0xffffffffu);
  bench.Set(kConfig + 0x100 + PCI_ERR_COR_MASK, 0u);
  bench.Set(kConfig + 0x100 + PCI_ERR_CAP, 0xffffffffu);
  CHECK(bench.Get(kConfig + 0x100 + PCI_ERR_UNCOR_MASK) == 0x03fff030);
  CHECK(bench.Get(kConfig + 0x100 + PCI_ERR_COR_MASK) == 0);
  CHECK(bench.Get(kConfig + 0x100 + PCI_ERR_CAP) == 0x1e0);
}

TEST_CASE("headers of extended capabilities cannot be written", "[replica]") {
  Lab bench(kE1000e);
  bench.Set(kConfig + 0x100, 0u);
  bench.Set(kConfig + 0x144, 0u);
  CHECK(bench.Get(kConfig + 0x100) == 0x14020001);
  CHECK(bench.Get(kConfig + 0x144) == 0xff123457);
}

TEST_CASE("a client changes the power state, and memory does not answer in D3hot", "[replica]") {
  Lab bench(kE1000e);
  bench.Set<u16>(kPowerControl, 3);
  CHECK((bench.Get<u16>(kPowerControl) & 3) == 3);
  std::array<std::byte, 4> word{};
  CHECK(bench.Read(bench.device, Region(0), word) == -EIO);
  bench.Set<u16>(kPowerControl, 0);
  CHECK((bench.Get<u16>(kPowerControl) & 3) == 0);
  CHECK(bench.Read(bench.device, Region(0), word) == 4);
}

TEST_CASE("a power state that the function lacks is not taken", "[replica]") {
  Lab bench(kE1000e);
  bench.Set<u16>(kPowerControl, 1);
  CHECK((bench.Get<u16>(kPowerControl) & 3) == 0);
}

TEST_CASE("hot reset is ENOTTY, though made, behind a port that does not report its link",
          "[replica]") {
  struct Reset {
    u32 argsz, flags, count;
    int group;
  };
  const auto hot_reset = [](Bench& bench, const Opened& opened) {
    bench.machine.bridges().at({0, 0, 0x1c, 0}).reports_link = false;
    Reset reset{sizeof reset, 0, 1, opened.group};
    return bench.Ioctl(opened.device, VFIO_DEVICE_PCI_HOT_RESET, reset);
  };
  Bench nic({{kFirst, &kE1000e, 1}});
  const Opened opened = nic.OpenAll();
  nic.Store<u16>(opened.device, kPowerControl, 3);
  CHECK(hot_reset(nic, opened) == -ENOTTY);
  CHECK((nic.Load<u16>(opened.device, kPowerControl) & 3) == 0);
  Bench edu;  // knows no power states: nobody waits for its link
  CHECK(hot_reset(edu, edu.OpenAll()) == 0);
}

TEST_CASE("a reset wakes a function", "[replica]") {
  Lab bench(kE1000e);
  bench.Set<u16>(kPowerControl, 3);
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  CHECK((bench.Get<u16>(kPowerControl) & 3) == 0);
}

TEST_CASE("how a function can be reset is what its capabilities say", "[replica]") {
  CHECK(FunctionResets(Lab(kE1000e).slot().config()) == "pm");  // No_Soft_Reset is clear
  CHECK(FunctionResets(Lab(kNvme).slot().config()) == "flr");
  CHECK(FunctionResets(Lab(kAdvanced).slot().config()) == "af_flr");
}

TEST_CASE("a reset by Advanced Features resets, and its bit reads as zero", "[replica]") {
  Lab bench(kAdvanced);
  bench.Set(Region(1), 0xcafef00du);
  bench.Set<u8>(kConfig + 0xe4 + PCI_AF_CTRL, PCI_AF_CTRL_FLR);
  CHECK(bench.Get<u8>(kConfig + 0xe4 + PCI_AF_CTRL) == 0);
  CHECK(bench.Get(Region(1)) == 0);
}
