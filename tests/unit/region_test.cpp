// Regions of a device: what GET_REGION_INFO says and how accesses are cut, shortened and refused.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

struct Lab : Bench {
  Lab() : Bench({{kFirst, &kPlenty, 1}}), device(OpenAll().device) {}
  vfio_region_info Info(u32 index) {
    vfio_region_info info{.argsz = 32, .index = index};
    Must(Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, info) == 0);
    return info;
  }
  void SetCommand(u16 value) { Store<u16>(device, kConfig + PCI_COMMAND, value); }
  int device;
};

}  // namespace

TEST_CASE("region infos of a function with everything", "[regions]") {
  Lab bench;
  CHECK(bench.Info(0).size == 0x10000);
  CHECK(bench.Info(0).flags == 7);
  CHECK(bench.Info(1).size == 0);
  CHECK(bench.Info(1).flags == 0);
  CHECK(bench.Info(2).size == 32);
  CHECK(bench.Info(2).flags == 3);
  CHECK(bench.Info(3).size == 0x1000);
  CHECK(bench.Info(3).flags == 7);
  CHECK(bench.Info(4).size == 0);
  CHECK(bench.Info(5).size == 0x2000);
  CHECK(bench.Info(5).flags == 15);  // with a capability: MSIX_MAPPABLE
  CHECK(bench.Info(6).size == 0);
  CHECK(bench.Info(6).flags == 0);
  CHECK(bench.Info(7).size == 4096);
  CHECK(bench.Info(7).flags == 3);
}

TEST_CASE("a region's offset is its index times 2^40, also where it is absent", "[regions]") {
  Lab bench;
  CHECK(bench.Info(0).offset == 0);
  CHECK(bench.Info(1).offset == 0x10000000000);
  CHECK(bench.Info(6).offset == 0x60000000000);
  CHECK(bench.Info(7).offset == 0x70000000000);
}

TEST_CASE("GET_REGION_INFO of VGA, of index 9 or with argsz 31 is EINVAL, unreadable EFAULT",
          "[regions]") {
  Lab bench;
  vfio_region_info info{.argsz = 32, .index = VFIO_PCI_VGA_REGION_INDEX};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_REGION_INFO, info) == -EINVAL);
  info.index = 9;
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_REGION_INFO, info) == -EINVAL);
  info = {.argsz = 31, .index = 0};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_REGION_INFO, info) == -EINVAL);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_REGION_INFO, 0xdead000) == -EFAULT);
}

TEST_CASE("a BAR of memory is not mappable for a client that cannot reach it", "[regions]") {
  Lab bench;
  bench.client.can_map = false;
  CHECK(bench.Info(0).flags == 3);
  CHECK(bench.Mmap(bench.device, Region(0), 0x1000) == -EINVAL);
}

TEST_CASE("registers are mappable only for a client whose accesses can be made one by one",
          "[regions]") {
  Lab bench;
  bench.client.can_trap_registers = false;
  CHECK(bench.Info(0).flags == 7);  // memory
  CHECK(bench.Info(3).flags == 3);
  CHECK(bench.Info(5).flags == 3);
  CHECK(bench.Mmap(bench.device, Region(0), 0x1000) == 0);
  CHECK(bench.Mmap(bench.device, Region(3), 0x1000) == -EINVAL);
}

TEST_CASE("a load or store on a mapping reaches the register with its width", "[regions]") {
  Lab bench;
  u32 value = 0;
  CHECK(bench.BusLoad(bench.device, Region(3) + 4, BytesOf(value)) == 4);
  CHECK(value == 0x33333333);
  value = 0x55667788;
  CHECK(bench.BusStore(bench.device, Region(3) + 4, BytesOf(value)) == 4);
  CHECK(bench.Load<u32>(bench.device, Region(3) + 4) == 0x55667788);
  std::array<std::byte, 32> wide{};
  CHECK(bench.BusLoad(bench.device, Region(3), wide) == 32);
  CHECK(LoadLittleEndian(std::span{wide}.subspan(2, 6)) == 0x556677882222);
}

TEST_CASE("a load or store on a mapping fails where no memory answers", "[regions]") {
  Lab bench;
  std::array<std::byte, 4> bytes{};
  CHECK(bench.BusLoad(bench.device, Region(3) + 0x1000, bytes) == -EIO);
  CHECK(bench.BusLoad(bench.device, Region(3) + 0xffe, bytes) == -EIO);
  CHECK(bench.BusLoad(bench.device, Region(1), bytes) == -EIO);
  CHECK(bench.BusLoad(bench.device, Region(2), bytes) == -EIO);
  CHECK(bench.BusStore(bench.device, kConfig, bytes) == -EIO);
  bench.SetCommand(0);
  CHECK(bench.BusLoad(bench.device, Region(3), bytes) == -EIO);
  CHECK(bench.BusStore(bench.device, Region(3), bytes) == -EIO);
  bench.SetCommand(PCI_COMMAND_MEMORY);
  CHECK(bench.BusLoad(bench.device, Region(3), bytes) == 4);
}

TEST_CASE("a load on a mapping sees the MSI-X table, which pread does not", "[regions]") {
  Lab bench;
  u32 control = 0;
  CHECK(bench.BusLoad(bench.device, Region(5) + PCI_MSIX_ENTRY_VECTOR_CTRL, BytesOf(control)) == 4);
  CHECK(control == PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

TEST_CASE("a read across the end of a BAR is short", "[regions]") {
  Lab bench;
  std::array<std::byte, 16> bytes{};
  CHECK(bench.Read(bench.device, Region(3) + 0xffc, bytes) == 4);
  CHECK(LoadLittleEndian(std::span{bytes}.first(4)) == 0x44444444);
  CHECK(bench.Write(bench.device, Region(3) + 0xff8, bytes) == 8);
}

TEST_CASE("an access at the end of a BAR or in an absent one is EINVAL", "[regions]") {
  Lab bench;
  std::array<std::byte, 4> bytes{};
  CHECK(bench.Read(bench.device, Region(3) + 0x1000, bytes) == -EINVAL);
  CHECK(bench.Write(bench.device, Region(3) + 0x1000, bytes) == -EINVAL);
  CHECK(bench.Read(bench.device, Region(1), bytes) == -EINVAL);
  CHECK(bench.Read(bench.device, Region(4), bytes) == -EINVAL);
}

TEST_CASE("ROM, VGA and what lies beyond them is EINVAL", "[regions]") {
  Lab bench;
  std::array<std::byte, 4> bytes{};
  CHECK(bench.Read(bench.device, Region(6), bytes) == -EINVAL);
  CHECK(bench.Write(bench.device, Region(6), bytes) == -EINVAL);
  CHECK(bench.Read(bench.device, Region(8), bytes) == -EINVAL);
  CHECK(bench.Read(bench.device, Region(9), bytes) == -EINVAL);
  CHECK(bench.Read(bench.device, 0x7fffffffffffffff, bytes) == -EINVAL);
}

TEST_CASE("an access of no bytes is 0 anywhere", "[regions]") {
  Lab bench;
  CHECK(bench.Read(bench.device, Region(1), {}) == 0);
  CHECK(bench.Write(bench.device, Region(9), {}) == 0);
}

TEST_CASE("config space past its end is EFAULT and nothing of it happens", "[regions]") {
  Lab bench;
  std::array<std::byte, 4> bytes{};
  CHECK(bench.Read(bench.device, kConfig + 4094, bytes) == -EFAULT);
  CHECK(bench.Read(bench.device, kConfig + 5000, bytes) == -EFAULT);
  CHECK(bench.Write(bench.device, kConfig + 4094, bytes) == -EFAULT);
  CHECK(bench.Read(bench.device, kConfig + 4092, bytes) == 4);
}

TEST_CASE("config space of a conventional function ends at 256 bytes", "[regions]") {
  Bench bench({{kFirst, &kBare, 1}});
  const int device = bench.OpenAll().device;
  std::array<std::byte, 4> bytes{};
  CHECK(bench.Read(device, kConfig + 252, bytes) == 4);
  CHECK(bench.Read(device, kConfig + 253, bytes) == -EFAULT);
}

TEST_CASE("a memory BAR is EIO while memory is disabled, and a port BAR is not", "[regions]") {
  Lab bench;
  std::array<std::byte, 4> bytes{};
  bench.SetCommand(0);
  CHECK(bench.Read(bench.device, Region(3), bytes) == -EIO);
  CHECK(bench.Write(bench.device, Region(0), bytes) == -EIO);
  CHECK(bench.Read(bench.device, Region(2), bytes) == 4);
  bench.SetCommand(PCI_COMMAND_MEMORY);
  CHECK(bench.Read(bench.device, Region(3), bytes) == 4);
}

TEST_CASE("the MSI-X table reads as ones and drops writes, its pending bits do not", "[regions]") {
  Lab bench;
  const u64 zero = 0;
  CHECK(bench.Write(bench.device, Region(5) + 8, BytesOf(zero)) == 8);
  CHECK(bench.Load<u64>(bench.device, Region(5) + 8) == ~u64{0});
  CHECK(bench.Load<u64>(bench.device, Region(5) + 0x38) == ~u64{0});
  CHECK(bench.Load<u64>(bench.device, Region(5) + 0x1000) == 0);
  std::array<std::byte, 16> across{};
  CHECK(bench.Read(bench.device, Region(5) + 0x38, across) == 16);
  CHECK(LoadLittleEndian(across) == ~u64{0});
  CHECK(LoadLittleEndian(std::span{across}.subspan(8)) == 0);
}

TEST_CASE("the MSI-X table reads as ones even while memory is disabled", "[regions]") {
  Lab bench;
  bench.SetCommand(0);
  CHECK(bench.Load<u32>(bench.device, Region(5)) == 0xffffffff);
  std::array<std::byte, 8> bytes{};
  CHECK(bench.Read(bench.device, Region(5) + 0x1000, bytes) == -EIO);
}

TEST_CASE("an unaligned access is cut into naturally aligned pieces", "[regions]") {
  Lab bench;
  std::array<std::byte, 7> bytes{};
  CHECK(bench.Read(bench.device, Region(3) + 1, bytes) == 7);
  CHECK(LoadLittleEndian(bytes) == 0x333333332222ff);
}

TEST_CASE("a write is made up to the piece that cannot be fetched, and is EFAULT", "[regions]") {
  Lab bench;
  std::array<std::byte, 16> ones;
  ones.fill(std::byte{0xff});
  bench.client.buffer_left = 11;
  CHECK(bench.Write(bench.device, Region(0), ones) == -EFAULT);
  bench.client.buffer_left = ~u64{0};
  CHECK(bench.Load<u64>(bench.device, Region(0)) == ~u64{0});
  CHECK(bench.Load<u64>(bench.device, Region(0) + 8) == 0);
}

TEST_CASE("a read whose buffer ends early is EFAULT, of a BAR and of config space", "[regions]") {
  Lab bench;
  std::array<std::byte, 16> bytes{};
  bench.client.buffer_left = 8;
  CHECK(bench.Read(bench.device, Region(0), bytes) == -EFAULT);
  bench.client.buffer_left = 8;
  CHECK(bench.Read(bench.device, kConfig, bytes) == -EFAULT);
  CHECK(LoadLittleEndian(std::span{bytes}.first(4)) == bench.slot().config().Get(0, 4));
}

TEST_CASE("a config write is made up to the piece that cannot be fetched", "[regions]") {
  Lab bench;
  const std::array bytes{std::byte{0x77}, std::byte{0x88}};
  bench.client.buffer_left = 1;
  CHECK(bench.Write(bench.device, kConfig + PCI_CACHE_LINE_SIZE, bytes) == -EFAULT);
  bench.client.buffer_left = ~u64{0};
  CHECK(bench.Load<u8>(bench.device, kConfig + PCI_CACHE_LINE_SIZE) == 0);
}

TEST_CASE("a bad offset comes before a bad buffer, disabled memory before that of a read",
          "[regions]") {
  Lab bench;
  std::array<std::byte, 4> bytes{};
  bench.client.buffer_left = 0;
  CHECK(bench.Read(bench.device, Region(3) + 0x1000, bytes) == -EINVAL);
  CHECK(bench.Write(bench.device, Region(3) + 0x1000, bytes) == -EINVAL);
  bench.client.buffer_left = ~u64{0};
  bench.SetCommand(0);
  bench.client.buffer_left = 0;
  CHECK(bench.Read(bench.device, Region(3), bytes) == -EIO);
  CHECK(bench.Write(bench.device, Region(3), bytes) == -EFAULT);
}

TEST_CASE("the MSI-X table drops writes without looking at the buffer", "[regions]") {
  Lab bench;
  const std::array<std::byte, 8> bytes{};
  bench.client.buffer_left = 0;
  CHECK(bench.Write(bench.device, Region(5), bytes) == 8);
}

TEST_CASE("memory of a BAR keeps what is written", "[regions]") {
  Lab bench;
  bench.Store<u64>(bench.device, Region(0) + 0xfff8, 0x0123456789abcdef);
  CHECK(bench.Load<u64>(bench.device, Region(0) + 0xfff8) == 0x0123456789abcdef);
  CHECK(bench.Load<u32>(bench.device, Region(0) + 0xfffc) == 0x01234567);
}

TEST_CASE("mmap takes whole mappable BARs, shared, within their size", "[regions]") {
  Lab bench;
  CHECK(bench.Mmap(bench.device, Region(0), 0x10000) == 0);
  CHECK(bench.Mmap(bench.device, Region(0) + 0xf000, 0x1000) == 0);
  CHECK(bench.Mmap(bench.device, Region(0), 0x1000, false) == -EINVAL);
  CHECK(bench.Mmap(bench.device, Region(0) + 0xf000, 0x2000) == -EINVAL);
  CHECK(bench.Mmap(bench.device, Region(0) + 0x10000, 0x1000) == -EINVAL);
  CHECK(bench.Mmap(bench.device, Region(1), 0x1000) == -EINVAL);
  CHECK(bench.Mmap(bench.device, Region(2), 0x1000) == -EINVAL);
  CHECK(bench.Mmap(bench.device, Region(3), 0x1000) == 0);
  CHECK(bench.Mmap(bench.device, Region(3), 0x2000) == -EINVAL);
  CHECK(bench.Mmap(bench.device, Region(5), 0x2000) == 0);
  CHECK(bench.Mmap(bench.device, kConfig, 0x1000) == -EINVAL);
  CHECK(bench.Mmap(bench.device, Region(9), 0x1000) == -EINVAL);
}

TEST_CASE("mmap succeeds while memory is disabled", "[regions]") {
  Lab bench;
  bench.SetCommand(0);
  CHECK(bench.Mmap(bench.device, Region(0), 0x1000) == 0);
}
