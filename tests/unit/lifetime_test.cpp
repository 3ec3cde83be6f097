// Containers, groups and devices closed in every order, and what others do in the middle of a call.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u64 kBuffer = 0x7f0000000000;
constexpr u64 kCommand = kConfig + PCI_COMMAND;

// One page mapped at 0x100000, and a device that is its group's only one.
struct Lab : Bench {
  Lab() : opened(OpenAll()) {
    client.mm().Map(kBuffer, kPageSize);
    Must(Map(opened.container, 0x100000, kBuffer, kPageSize) == 0);
  }
  u64 pages() { return client.mm().locked_pages(); }
  bool attached() { return machine.groups().at(1).ioas() != nullptr; }
  Opened opened;
};

const std::vector<Placed> kTwoGroups = {{kFirst, &fake_devices::kEdu, 1},
                                        {kSecond, &fake_devices::kEdu, 2}};

}  // namespace

TEST_CASE("a group can be opened once at a time", "[lifetime]") {
  Bench bench;
  const int group = bench.OpenGroup(1);
  CHECK(bench.Open("1") == -EBUSY);
  bench.Close(group);
  CHECK(bench.Open("1") >= 0);
}

TEST_CASE("closing device, group, container: mappings go with the group", "[lifetime]") {
  Lab bench;
  bench.Close(bench.opened.device);
  CHECK(bench.pages() == 1);
  bench.Close(bench.opened.group);
  CHECK(bench.pages() == 0);
  CHECK_FALSE(bench.attached());
  bench.Close(bench.opened.container);
}

TEST_CASE("closing device, container, group: mappings go with the group", "[lifetime]") {
  Lab bench;
  bench.Close(bench.opened.device);
  bench.Close(bench.opened.container);
  CHECK(bench.pages() == 1);
  bench.Close(bench.opened.group);
  CHECK(bench.pages() == 0);
}

TEST_CASE("closing group, device, container: mappings go with the device", "[lifetime]") {
  Lab bench;
  bench.Close(bench.opened.group);
  CHECK(bench.pages() == 1);
  CHECK(bench.Open("1") == -EBUSY);  // the device holds it
  bench.Close(bench.opened.device);
  CHECK(bench.pages() == 0);
  CHECK(bench.Open("1") >= 0);
  bench.Close(bench.opened.container);
}

TEST_CASE("closing group, container, device: mappings go with the device", "[lifetime]") {
  Lab bench;
  bench.Close(bench.opened.group);
  bench.Close(bench.opened.container);
  CHECK(bench.pages() == 1);
  CHECK(bench.attached());
  bench.Close(bench.opened.device);
  CHECK(bench.pages() == 0);
}

TEST_CASE("closing container, group, device: mappings go with the device", "[lifetime]") {
  Lab bench;
  bench.Close(bench.opened.container);
  bench.Close(bench.opened.group);
  CHECK(bench.pages() == 1);
  bench.Close(bench.opened.device);
  CHECK(bench.pages() == 0);
}

TEST_CASE("closing container, device, group: mappings go with the group", "[lifetime]") {
  Lab bench;
  bench.Close(bench.opened.container);
  bench.Close(bench.opened.device);
  CHECK(bench.pages() == 1);
  bench.Close(bench.opened.group);
  CHECK(bench.pages() == 0);
}

TEST_CASE("a device still does DMA after its container and group were closed", "[lifetime]") {
  Lab bench;
  bench.Store<u16>(bench.opened.device, kCommand, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  bench.client.mm().Put(kBuffer, u32{0xcafe});
  bench.Close(bench.opened.container);
  bench.Close(bench.opened.group);
  u32 word = 0;
  CHECK(bench.slot().DmaRead(Iova{0x100000}, BytesOf(word)));
  CHECK(word == 0xcafe);
}

TEST_CASE("UNSET_CONTAINER of the last group leaves the container as new", "[lifetime]") {
  Lab bench;
  bench.Close(bench.opened.device);
  CHECK(bench.Ioctl(bench.opened.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
  CHECK(bench.pages() == 0);
  CHECK(bench.Ioctl(bench.opened.container, VFIO_IOMMU_GET_INFO, Bench::kArguments) == -EINVAL);
  CHECK(bench.Ioctl(bench.opened.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == -EINVAL);
  CHECK(bench.SetContainer(bench.opened.group, bench.opened.container) == 0);
  CHECK(bench.Ioctl(bench.opened.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == 0);
  CHECK(bench.Unmap(bench.opened.container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL) == 0);
}

TEST_CASE("a second group that joins sees the mappings, and they outlive the first", "[lifetime]") {
  Bench bench(kTwoGroups);
  bench.client.mm().Map(kBuffer, kPageSize);
  const Opened first = bench.OpenDomain(1);
  REQUIRE(bench.Map(first.container, 0x100000, kBuffer, 0x1000) == 0);
  const int second = bench.OpenGroup(2);
  REQUIRE(bench.SetContainer(second, first.container) == 0);
  CHECK(bench.machine.groups().at(2).ioas() == bench.machine.groups().at(1).ioas());
  bench.Close(first.group);
  CHECK(bench.client.mm().locked_pages() == 1);
  bench.Close(second);
  CHECK(bench.client.mm().locked_pages() == 0);
}

TEST_CASE("two groups in two containers do not see each other's mappings", "[lifetime]") {
  Bench bench(kTwoGroups);
  bench.client.mm().Map(kBuffer, kPageSize);
  const Opened first = bench.OpenDomain(1);
  const Opened second = bench.OpenDomain(2);
  CHECK(bench.Map(first.container, 0x100000, kBuffer, 0x1000) == 0);
  CHECK(bench.Map(second.container, 0x100000, kBuffer, 0x1000) == 0);
  bench.Close(first.group);
  CHECK(bench.Unmap(second.container, 0x100000, 0x1000) == 0x1000);
}

TEST_CASE("a device opened twice is enabled until its last file is closed", "[lifetime]") {
  Bench bench;
  const Opened opened = bench.OpenAll();
  bench.Store<u16>(opened.device, kCommand, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  const int again = bench.OpenDevice(opened.group);
  CHECK((bench.Load<u16>(again, kCommand) & PCI_COMMAND_MASTER) != 0);
  bench.Close(opened.device);
  CHECK((bench.Load<u16>(again, kCommand) & PCI_COMMAND_MASTER) != 0);
  bench.Close(again);
  CHECK((bench.slot().config().Get(PCI_COMMAND, 2) & PCI_COMMAND_MASTER) == 0);
}

TEST_CASE("the next open sees a device that was reset and a fresh config space", "[lifetime]") {
  Bench bench;
  const Opened opened = bench.OpenAll();
  bench.Store<u32>(opened.device, Region(0) + 0x04, 0x12345678);
  bench.Store<u32>(opened.device, kConfig + PCI_BASE_ADDRESS_0, 0xffffffff);
  bench.Store<u8>(opened.device, kConfig + PCI_INTERRUPT_LINE, 0x77);
  bench.Close(opened.device);
  const int again = bench.OpenDevice(opened.group);
  CHECK(bench.Load<u32>(again, Region(0) + 0x04) == 0);
  CHECK(bench.Load<u32>(again, kConfig + PCI_BASE_ADDRESS_0) == 0xe0000000);
  CHECK(bench.Load<u8>(again, kConfig + PCI_INTERRUPT_LINE) == 0);
}

TEST_CASE("the first open finds memory decoding on and bus mastering off", "[lifetime]") {
  Bench bench({{kFirst, &kPlenty, 1}});
  const int device = bench.OpenAll().device;
  CHECK(bench.Load<u16>(device, kCommand) ==
        (PCI_COMMAND_MEMORY | PCI_COMMAND_IO | PCI_COMMAND_SERR));
}

TEST_CASE("closing a device takes its timers, its INTx and its eventfds", "[lifetime]") {
  Bench bench;
  const Opened opened = bench.OpenAll();
  const int eventfd = bench.client.AddEventfd();
  REQUIRE(bench.SetTriggers(opened.device, VFIO_PCI_INTX_IRQ_INDEX, 0, {eventfd}) == 0);
  bench.Store<u32>(opened.device, Region(0) + 0x20, 0x80);
  bench.Store<u32>(opened.device, Region(0) + 0x08, 5);
  bench.Close(opened.device);
  bench.Wait(1s);
  CHECK(bench.client.Signals(eventfd) == 0);
  CHECK_FALSE(bench.slot().intx_asserted());
}

TEST_CASE("an eventfd that the client closed is still signalled", "[lifetime]") {
  Bench bench;
  const int device = bench.OpenAll().device;
  const int eventfd = bench.client.AddEventfd();
  Eventfd ours = *bench.client.ImportEventfd(eventfd);
  REQUIRE(bench.SetTriggers(device, VFIO_PCI_INTX_IRQ_INDEX, 0, {eventfd}) == 0);
  bench.client.Close(eventfd);
  bench.Store<u32>(device, Region(0) + 0x60, 1);
  u64 count = 0;
  CHECK(::read(ours.fd(), &count, sizeof count) == 8);
  CHECK(count == 1);
}

TEST_CASE("when the client's image is gone, DMA faults and unmapping still works", "[lifetime]") {
  Lab bench;
  bench.Store<u16>(bench.opened.device, kCommand, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  bench.client.Exec();
  bench.client.mm().Map(Bench::kArguments, kPageSize);
  u32 word = 0;
  CHECK_FALSE(bench.slot().DmaRead(Iova{0x100000}, BytesOf(word)));
  CHECK(bench.machine.faults().back().fault.reason == FaultReason::kMemoryGone);
  CHECK(bench.Unmap(bench.opened.container, 0x100000, 0x1000) == 0x1000);
}

TEST_CASE("the group may be closed while MAP_DMA waits for its argument", "[lifetime][waiting]") {
  Lab bench;
  bench.Close(bench.opened.device);
  bench.client.mm().meanwhile = [&] { bench.Close(bench.opened.group); };
  const long result = bench.Map(bench.opened.container, 0x200000, kBuffer, 0x1000);
  CHECK(result <= 0);
  CHECK(bench.pages() == 0);
}

TEST_CASE("the group may be closed while UNMAP_DMA waits for its argument", "[lifetime][waiting]") {
  Lab bench;
  bench.Close(bench.opened.device);
  bench.client.mm().meanwhile = [&] { bench.Close(bench.opened.group); };
  const long result = bench.Unmap(bench.opened.container, 0x100000, 0x1000);
  CHECK(result <= 0x1000);
  CHECK(bench.pages() == 0);
}

TEST_CASE("the group may be closed while a device waits for client memory", "[lifetime][waiting]") {
  Lab bench;
  bench.Store<u16>(bench.opened.device, kCommand, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  bench.Close(bench.opened.group);
  bench.client.mm().meanwhile = [&] { bench.Close(bench.opened.device); };
  std::array<std::byte, 8192> bytes{};  // beyond the mapping: a second look-up follows the wait
  CHECK_FALSE(bench.slot().DmaRead(Iova{0x100000}, bytes));
  CHECK(bench.pages() == 0);
}

TEST_CASE("a mapping may be unmapped while a device waits in it", "[lifetime][waiting]") {
  Lab bench;
  bench.Store<u16>(bench.opened.device, kCommand, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  bench.client.mm().meanwhile = [&] {
    CHECK(bench.Unmap(bench.opened.container, 0x100000, 0x1000) == 0x1000);
  };
  std::array<std::byte, 8192> bytes{};
  CHECK_FALSE(bench.slot().DmaRead(Iova{0x100000}, bytes));
  CHECK(bench.machine.faults().back().fault.at == Iova{0x101000});
}

TEST_CASE("the device may be closed while SET_IRQS waits for its argument", "[lifetime][waiting]") {
  Lab bench;
  const int eventfd = bench.client.AddEventfd();
  bench.client.mm().meanwhile = [&] { bench.Close(bench.opened.device); };
  CHECK(bench.SetTriggers(bench.opened.device, VFIO_PCI_INTX_IRQ_INDEX, 0, {eventfd}) == 0);
  CHECK(bench.slot().driver() == "vfio-pci");
}
