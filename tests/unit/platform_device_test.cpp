// A device of vfio-platform: how it is found, what it says of itself, and its regions.
#include <catch2/catch.hpp>

#include "support/platform_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

TEST_CASE("a platform device is found by its exact name only", "[platform]") {
  PlatformBench bench;
  CHECK(bench.GetDevice(bench.domain.group, "fe000000.plai") == -ENODEV);
  CHECK(bench.GetDevice(bench.domain.group, "fe000000.plain ") == -ENODEV);
  CHECK(bench.GetDevice(bench.domain.group, "FE000000.plain") == -ENODEV);
  CHECK(bench.GetDevice(bench.domain.group, kPlatform) >= 0);
}

TEST_CASE("a platform device counts its regions and interrupts", "[platform]") {
  PlatformBench bench;
  vfio_device_info info{.argsz = 16};
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_GET_INFO, info) == 0);
  CHECK(info.flags == (VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET));
  CHECK(info.num_regions == 4);
  CHECK(info.num_irqs == 3);
}

TEST_CASE("infos of a platform device with a small argsz are EINVAL, unreadable EFAULT",
          "[platform]") {
  PlatformBench bench;
  vfio_device_info info{.argsz = 15};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_INFO, info) == -EINVAL);
  vfio_region_info region{.argsz = 31};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_REGION_INFO, region) == -EINVAL);
  vfio_irq_info irq{.argsz = 15};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_IRQ_INFO, irq) == -EINVAL);
  for (const u32 ioctl :
       {VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO})
    CHECK(bench.Ioctl(bench.device, ioctl, 0xdead000) == -EFAULT);
}

TEST_CASE("a platform device without regions and interrupts has none", "[platform]") {
  PlatformBench bench(kBarePlatform);
  vfio_device_info info{.argsz = 16};
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_GET_INFO, info) == 0);
  CHECK(info.num_regions == 0);
  CHECK(info.num_irqs == 0);
  vfio_region_info region{.argsz = 32};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_REGION_INFO, region) == -EINVAL);
  CHECK(bench.SetIrqs(bench.device, 0, 1 | 32, 0, 0) == -EINVAL);
  std::array<std::byte, 4> bytes{};
  CHECK(bench.Read(bench.device, 0, bytes) == -EINVAL);
}

TEST_CASE("regions of a platform device lie at multiples of 2^40 and say what can be done",
          "[platform]") {
  PlatformBench bench;
  CHECK(bench.Region(0).size == 0x1000);
  CHECK(bench.Region(0).flags == 7);
  CHECK(bench.Region(1).size == 0x10000);
  CHECK(bench.Region(1).flags == 7);
  CHECK(bench.Region(1).offset == 0x10000000000);
  CHECK(bench.Region(2).size == 24);
  CHECK(bench.Region(2).flags == 3);  // a part of a page
  CHECK(bench.Region(3).flags == 3);
  vfio_region_info beyond{.argsz = 32, .index = 4};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_REGION_INFO, beyond) == -EINVAL);
}

TEST_CASE("what of a platform device can be mapped depends on the client", "[platform]") {
  PlatformBench bench;
  bench.client.can_trap_registers = false;
  CHECK(bench.Region(0).flags == 3);
  CHECK(bench.Region(1).flags == 7);
  CHECK(bench.Mmap(bench.device, test::Region(0), 0x1000) == -EINVAL);
  bench.client.can_map = false;
  CHECK(bench.Region(1).flags == 3);
}

TEST_CASE("mmap of a platform device stays inside one region", "[platform]") {
  PlatformBench bench;
  CHECK(bench.Mmap(bench.device, test::Region(1), 0x10000) == 0);
  CHECK(bench.Mmap(bench.device, test::Region(1) + 0xf000, 0x1000) == 0);
  CHECK(bench.Mmap(bench.device, test::Region(1) + 0xf000, 0x2000) == -EINVAL);
  CHECK(bench.Mmap(bench.device, test::Region(1) + 0x10000, 0x1000) == -EINVAL);
  CHECK(bench.Mmap(bench.device, test::Region(1), 0x1000, false) == -EINVAL);
  CHECK(bench.Mmap(bench.device, test::Region(2), 24) == -EINVAL);
  CHECK(bench.Mmap(bench.device, test::Region(3), 0x1000) == -EINVAL);
  CHECK(bench.Mmap(bench.device, test::Region(4), 0x1000) == -EINVAL);
}

TEST_CASE("a read of a platform region is shortened at its end and EINVAL behind", "[platform]") {
  PlatformBench bench;
  std::array<std::byte, 16> bytes{};
  CHECK(bench.Read(bench.device, 0xffc, bytes) == 4);
  CHECK(LoadLittleEndian(std::span{bytes}.first(4)) == 0x44444444);
  CHECK(bench.Write(bench.device, 0xff8, bytes) == 8);
  CHECK(bench.Read(bench.device, 0x1000, bytes) == -EINVAL);
  CHECK(bench.Write(bench.device, 0x1000, bytes) == -EINVAL);
  CHECK(bench.Read(bench.device, test::Region(2) + 20, bytes) == 4);
  CHECK(bench.Read(bench.device, test::Region(4), bytes) == -EINVAL);
}

TEST_CASE("no bytes of a platform region are 0 inside and EINVAL behind it", "[platform]") {
  PlatformBench bench;
  CHECK(bench.Read(bench.device, 0xfff, {}) == 0);
  CHECK(bench.Read(bench.device, 0x1000, {}) == -EINVAL);
  CHECK(bench.Write(bench.device, test::Region(4), {}) == -EINVAL);
}

TEST_CASE("a call reaches platform registers by four, two and one bytes", "[platform]") {
  PlatformBench bench;
  bench.Listen();
  bench.Store<u64>(bench.device, 8, 0x1122334455667788);
  CHECK(bench.Load<u64>(bench.device, 8) == 0x1122334455667788);
  const auto writes = [&] {
    std::size_t count = 0;
    for (std::size_t at = 0; (at = bench.trace_text.find("a write", at)) != std::string::npos; ++at)
      ++count;
    return std::exchange(bench.trace_text, ""), count;
  };
  CHECK(writes() == 2);
  std::array<std::byte, 7> odd{};
  CHECK(bench.Write(bench.device, 9, odd) == 7);  // 1, 2, 4
  CHECK(writes() == 3);
  CHECK(bench.Load<u64>(bench.device, 8) == 0x88);
}

TEST_CASE("a processor reaches platform registers by eight bytes at once", "[platform]") {
  PlatformBench bench;
  bench.Listen();
  u64 value = 0x1122334455667788;
  CHECK(bench.BusStore(bench.device, 8, BytesOf(value)) == 8);
  CHECK(bench.trace_text.find("a write") == bench.trace_text.rfind("a write"));
  value = 0;
  CHECK(bench.BusLoad(bench.device, 8, BytesOf(value)) == 8);
  CHECK(value == 0x1122334455667788);
  CHECK(bench.BusLoad(bench.device, 0xffc, BytesOf(value)) == -EIO);
  CHECK(bench.BusStore(bench.device, test::Region(4), BytesOf(value)) == -EIO);
}

TEST_CASE("a bad buffer ends a transfer with a platform device at once", "[platform]") {
  PlatformBench bench;
  bench.client.buffer_left = 4;
  std::array<std::byte, 8> bytes{};
  CHECK(bench.Write(bench.device, 0, bytes) == -EFAULT);
  bench.client.buffer_left = ~u64{0};
  CHECK(bench.Load<u8>(bench.device, 0) == 0);
  CHECK(bench.Load<u32>(bench.device, 4) == 0x33333333);
}

TEST_CASE("a platform device has neither features nor ioctls of PCI", "[platform]") {
  PlatformBench bench;
  vfio_device_feature feature{};
  feature.argsz = sizeof feature;
  for (const u32 index : {0u, 1u, 2u, 3u, 11u, 0xffffu}) {
    feature.flags = VFIO_DEVICE_FEATURE_PROBE | index;
    CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_FEATURE, feature) == -ENOTTY);
  }
  feature.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_FEATURE, feature) == -EINVAL);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO) == -ENOTTY);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_IOEVENTFD) == -ENOTTY);
  CHECK(bench.Ioctl(bench.device, VFIO_GROUP_GET_STATUS) == -ENOTTY);
}

TEST_CASE("a reset starts a platform device anew and keeps its memory", "[platform]") {
  PlatformBench bench;
  bench.Store<u32>(bench.device, 4, 1);
  bench.Store<u32>(bench.device, test::Region(1), 7);
  bench.platform().SetIrq(0, true);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  CHECK(bench.Load<u32>(bench.device, 4) == 0x33333333);
  CHECK(bench.Load<u32>(bench.device, test::Region(1)) == 7);
  CHECK_FALSE(bench.platform().asserted(0));
}

TEST_CASE("the first file of a platform device and the last one reset it", "[platform]") {
  PlatformBench bench;
  bench.Store<u32>(bench.device, 4, 1);
  const auto second = static_cast<int>(bench.GetDevice(bench.domain.group, kPlatform));
  CHECK(bench.Load<u32>(second, 4) == 1);
  bench.Close(bench.device);
  CHECK(bench.Load<u32>(second, 4) == 1);
  bench.Close(second);
  u32 value = 0;
  bench.platform().ReadRegion(0, 4, BytesOf(value));
  CHECK(value == 0x33333333);
}

TEST_CASE("a platform device without a reset says so and keeps its state", "[platform]") {
  PlatformBench bench(kPlainPlatform, false);
  vfio_device_info info{.argsz = 16};
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_GET_INFO, info) == 0);
  CHECK(info.flags == VFIO_DEVICE_FLAGS_PLATFORM);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == -EINVAL);
  bench.Store<u32>(bench.device, 4, 1);
  bench.Close(bench.device);
  const auto again = static_cast<int>(bench.GetDevice(bench.domain.group, kPlatform));
  CHECK(bench.Load<u32>(again, 4) == 1);
}
