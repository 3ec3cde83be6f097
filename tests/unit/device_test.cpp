// Ioctls of a device that are neither about regions nor about interrupts.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u32 kGet = 1u << 16, kSet = 1u << 17, kProbe = 1u << 18;
constexpr u32 kLowPowerEntry = 3, kLowPowerExit = 5;

struct Lab : Bench {
  explicit Lab(Bdf bdf = kFirst, const Model& model = fake_devices::kEdu)
      : Bench({{bdf, &model, 1}}), device(OpenAll(bdf).device) {}
  long Feature(u32 flags, u32 argsz = 8) {
    vfio_device_feature feature{argsz, flags};
    return Ioctl(device, VFIO_DEVICE_FEATURE, feature);
  }
  int device;
};

// GET_PCI_HOT_RESET_INFO with room for two devices.
struct HotReset {
  u32 argsz, flags, count;
  vfio_pci_dependent_device devices[2];
};

}  // namespace

TEST_CASE("GET_INFO says PCI, 9 regions, 5 interrupts and whether there is a reset", "[device]") {
  Lab alone;
  vfio_device_info info{.argsz = 24};
  CHECK(alone.Ioctl(alone.device, VFIO_DEVICE_GET_INFO, info) == 0);
  CHECK(info.flags == 3);
  CHECK(info.num_regions == 9);
  CHECK(info.num_irqs == 5);
  Lab on_root_bus(kOnRootBus);
  CHECK(on_root_bus.Ioctl(on_root_bus.device, VFIO_DEVICE_GET_INFO, info) == 0);
  CHECK(info.flags == 2);
}

TEST_CASE("GET_INFO with argsz 16 leaves cap_offset alone, with 15 it is EINVAL", "[device]") {
  Lab bench;
  vfio_device_info info{.argsz = 16, .cap_offset = 77};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_INFO, info) == 0);
  CHECK(info.cap_offset == 77);
  info = {.argsz = 20, .cap_offset = 77};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_INFO, info) == 0);
  CHECK(info.cap_offset == 0);
  info.argsz = 15;
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_INFO, info) == -EINVAL);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_INFO, 0xdead000) == -EFAULT);
}

TEST_CASE("RESET on the root bus without a reset of its own is EINVAL", "[device]") {
  Lab bench(kOnRootBus);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == -EINVAL);
}

TEST_CASE("a function with FLR can be reset anywhere", "[device]") {
  Lab bench(kOnRootBus, kPlenty);
  bench.Store<u32>(bench.device, Region(3) + 4, 0);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  CHECK(bench.Load<u32>(bench.device, Region(3) + 4) == 0x33333333);
}

TEST_CASE("two functions behind one bridge cannot be reset one by one", "[device]") {
  Bench bench({{{0, 1, 0, 0}, &fake_devices::kEdu, 1}, {{0, 1, 0, 1}, &fake_devices::kEdu, 1}});
  const int device = bench.OpenAll().device;
  CHECK(bench.Ioctl(device, VFIO_DEVICE_RESET) == -EINVAL);
}

TEST_CASE("RESET keeps COMMAND and the client's config space", "[device]") {
  Lab bench;
  bench.Store<u16>(bench.device, kConfig + PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  bench.Store<u8>(bench.device, kConfig + PCI_INTERRUPT_LINE, 9);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  CHECK(bench.Load<u16>(bench.device, kConfig + PCI_COMMAND) == 6);
  CHECK(bench.Load<u8>(bench.device, kConfig + PCI_INTERRUPT_LINE) == 9);
}

TEST_CASE("hot reset info names every function on the bus", "[device]") {
  Bench bench({{{0, 1, 0, 0}, &fake_devices::kEdu, 1}, {{0, 1, 2, 1}, &kBare, 7, ""}});
  const int device = bench.OpenAll().device;
  HotReset info{.argsz = sizeof info, .flags = 99};
  CHECK(bench.Ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) == 0);
  CHECK(info.flags == 0);
  CHECK(info.count == 2);
  CHECK(info.devices[0].group_id == 1);
  CHECK(info.devices[0].bus == 1);
  CHECK(info.devices[0].devfn == 0);
  CHECK(info.devices[1].group_id == 7);
  CHECK(info.devices[1].devfn == 0x11);
}

TEST_CASE("hot reset info without room says the count and is ENOSPC", "[device]") {
  Lab bench;
  HotReset info{.argsz = 19};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) == -ENOSPC);
  CHECK(info.count == 1);
  info.argsz = 11;
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) == -EINVAL);
}

TEST_CASE("hot reset info on the root bus is ENODEV", "[device]") {
  Lab bench(kOnRootBus);
  HotReset info{.argsz = sizeof info};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) == -ENODEV);
}

TEST_CASE("an unknown ioctl on a device is ENOTTY", "[device]") {
  Lab bench;
  CHECK(bench.Ioctl(bench.device, 0x3bff) == -ENOTTY);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_QUERY_GFX_PLANE) == -ENOTTY);
}

TEST_CASE("FEATURE checks its argument before it looks for the feature", "[device]") {
  Lab bench;
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_FEATURE, 0xdead000) == -EFAULT);
  CHECK(bench.Feature(kProbe | 99, 7) == -EINVAL);
  CHECK(bench.Feature(1u << 19 | 99) == -EINVAL);
  CHECK(bench.Feature(kGet | kSet | 99) == -EINVAL);
  CHECK(bench.Feature(kGet | kSet | kProbe | 99) == -ENOTTY);
  CHECK(bench.Feature(kProbe | 99) == -ENOTTY);
}

TEST_CASE("features that need migration, a PF or dirty logging are ENOTTY", "[device]") {
  Lab bench;
  CHECK(bench.Feature(kSet | 0) == -ENOTTY);
  CHECK(bench.Feature(kGet | 1) == -ENOTTY);
  CHECK(bench.Feature(kGet | 2) == -ENOTTY);
  CHECK(bench.Feature(kSet | 6) == -ENOTTY);
  CHECK(bench.Feature(kSet | 10) == -ENOTTY);
}

TEST_CASE("low power can be probed for SET only", "[device]") {
  Lab bench;
  CHECK(bench.Feature(kProbe | kSet | kLowPowerEntry) == 0);
  CHECK(bench.Feature(kProbe | kLowPowerExit) == 0);
  CHECK(bench.Feature(kProbe | kGet | kLowPowerEntry) == -EINVAL);
  CHECK(bench.Feature(kProbe | kGet | kSet | kLowPowerEntry) == -EINVAL);
}

TEST_CASE("low power is entered once, left as often as one likes, and forgotten on close",
          "[device]") {
  Bench bench;
  const Opened opened = bench.OpenAll();
  vfio_device_feature entry{8, kSet | kLowPowerEntry};
  vfio_device_feature leave{8, kSet | kLowPowerExit};
  vfio_device_feature neither{8, kLowPowerEntry};
  CHECK(bench.Ioctl(opened.device, VFIO_DEVICE_FEATURE, neither) == -EINVAL);
  CHECK(bench.Ioctl(opened.device, VFIO_DEVICE_FEATURE, entry) == 0);
  CHECK(bench.Ioctl(opened.device, VFIO_DEVICE_FEATURE, entry) == -EINVAL);
  CHECK(bench.Ioctl(opened.device, VFIO_DEVICE_FEATURE, leave) == 0);
  CHECK(bench.Ioctl(opened.device, VFIO_DEVICE_FEATURE, leave) == 0);
  CHECK(bench.Ioctl(opened.device, VFIO_DEVICE_FEATURE, entry) == 0);
  bench.Close(opened.device);
  const int again = bench.OpenDevice(opened.group);
  CHECK(bench.Ioctl(again, VFIO_DEVICE_FEATURE, entry) == 0);
}
