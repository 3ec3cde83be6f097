// Reads, writes and mappings of /dev/vfioN, and what opening and closing it does.
#include <catch2/catch.hpp>

#include "support/early_bench.hpp"
#include "sysfs/sysfs.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

std::shared_ptr<Node> Find(const Directory& root, std::string_view path) {
  const Directory* directory = &root;
  while (true) {
    const std::size_t slash = path.find('/');
    auto node = directory->Lookup(path.substr(0, slash));
    if (slash == path.npos) return node;
    directory = dynamic_cast<const Directory*>(node.get());
    if (directory == nullptr) return nullptr;
    path.remove_prefix(slash + 1);
  }
}

// BAR0: 64 KiB of memory; BAR2: 32 bytes of ports; BAR3: 4 KiB of registers; BAR5: the MSI-X table.
struct Lab : EarlyBench {
  explicit Lab(std::string_view revision = "A6")
      : EarlyBench(revision, Only(kPlenty)), device(OpenInDomain()) {}
  long Read(u64 offset, std::size_t count) {
    std::vector<std::byte> bytes(count);
    return Bench::Read(device, offset, bytes);
  }
  long Write(u64 offset, std::size_t count) {
    const std::vector<std::byte> bytes(count);
    return Bench::Write(device, offset, bytes);
  }
  int device;
};

}  // namespace

TEST_CASE("regions begin at n << 32, later at n << 48, at last at n << 40", "[uiommu]") {
  for (const auto& [revision, shift] :
       {std::pair{"A5", 32u}, std::pair{"A6", 32u}, std::pair{"A-jun", 48u},
        std::pair{"A-jul-15", 48u}, std::pair{"A-jul", 40u}}) {
    Lab bench(revision);
    CHECK(bench.Load<u16>(bench.device, u64{0xf} << shift) == 0x1234);
    CHECK(bench.Load<u8>(bench.device, u64{3} << shift) == 0x11);
  }
}

TEST_CASE("without a domain only config space can be read, and nothing be written", "[uiommu]") {
  EarlyBench bench("A6", EarlyBench::Only(kPlenty));
  const int device = bench.OpenDevice();
  std::array<std::byte, 4> bytes{};
  CHECK(bench.Read(device, bench.Config(0), bytes) == 4);
  CHECK(bench.Read(device, bench.At(0), bytes) == -EINVAL);
  CHECK(bench.Write(device, bench.At(0), bytes) == -EINVAL);
  CHECK(bench.Write(device, bench.Config(4), bytes) == -EINVAL);
  CHECK(bench.Mmap(device, bench.At(0), kPageSize) == -EINVAL);
}

TEST_CASE("regions 7 to 14, and BARs that are not there, are EINVAL", "[uiommu]") {
  Lab bench;
  for (const u32 region : {1u, 4u, 6u, 7u, 14u}) CHECK(bench.Read(bench.At(region), 4) == -EINVAL);
}

TEST_CASE("a ROM can be read, ends short, and takes writes that do nothing", "[uiommu]") {
  EarlyBench bench;
  bench.slot().set_rom(std::vector<std::byte>(4_KiB, std::byte{0x5a}));
  bench.slot().PlaceRom(0xfe000000);
  const int device = bench.OpenInDomain();
  CHECK(bench.Load<u32>(device, bench.At(6)) == 0x5a5a5a5a);
  std::array<std::byte, 8> bytes{};
  CHECK(bench.Read(device, bench.At(6, 4_KiB - 4), bytes) == 4);
  CHECK(bench.Read(device, bench.At(6, 4_KiB), bytes) == 0);
  CHECK(bench.Read(device, bench.At(6, 4_KiB + 1), bytes) == -EINVAL);
  CHECK(bench.Write(device, bench.At(6), bytes) == 8);
  CHECK(bench.Load<u32>(device, bench.At(6)) == 0x5a5a5a5a);
  CHECK(bench.Mmap(device, bench.At(6), kPageSize) == -EINVAL);
}

TEST_CASE("of ports all bytes are moved or none", "[uiommu]") {
  Lab bench;
  CHECK(bench.Read(bench.At(2, 28), 4) == 4);
  CHECK(bench.Read(bench.At(2, 28), 5) == -EINVAL);
  CHECK(bench.Read(bench.At(2, 32), 1) == -EINVAL);
  CHECK(bench.Write(bench.At(2, 32), 1) == -EINVAL);
  bench.client.buffer_left = 4;
  CHECK(bench.Read(bench.At(2, 0), 8) == -EFAULT);
}

TEST_CASE("memory is moved as memcpy() does, in July by words of at most 4 bytes", "[uiommu]") {
  for (const auto& [revision, low] : {std::pair{"A6", ~u32{0}}, std::pair{"A-jul", 0x010000edu}}) {
    EarlyBench bench(revision);
    const int device = bench.OpenInDomain();
    // edu answers words of 4 bytes alone.
    CHECK(static_cast<u32>(bench.Load<u64>(device, bench.At(0))) == low);
  }
}

TEST_CASE("a buffer that ends early is EFAULT, of config space and of memory", "[uiommu]") {
  Lab bench;
  bench.client.buffer_left = 2;
  CHECK(bench.Read(bench.Config(0), 4) == -EFAULT);
  bench.client.buffer_left = 2;
  CHECK(bench.Write(bench.Config(0), 4) == -EFAULT);
  bench.client.buffer_left = 4;
  CHECK(bench.Read(bench.At(0), 16) == -EFAULT);
}

TEST_CASE("memory ends short: 0 at its end, EINVAL behind it", "[uiommu]") {
  Lab bench;
  CHECK(bench.Read(bench.At(0, 64_KiB - 4), 100) == 4);
  CHECK(bench.Write(bench.At(0, 64_KiB - 4), 100) == 4);
  CHECK(bench.Read(bench.At(0, 64_KiB), 1) == 0);
  CHECK(bench.Read(bench.At(0, 64_KiB + 1), 1) == -EINVAL);
}

TEST_CASE("memory that COMMAND does not decode reads as ones, which is no error", "[uiommu]") {
  Lab bench;
  bench.Store<u16>(bench.device, bench.Config(PCI_COMMAND), u16{0});
  CHECK(bench.Load<u32>(bench.device, bench.At(3, 4)) == 0xffffffff);
  CHECK(bench.Load<u8>(bench.device, bench.At(2)) == 0xff);
}

TEST_CASE("config space ends short at its size; behind it is EINVAL; positions have 16 bits",
          "[uiommu]") {
  Lab bench;
  CHECK(bench.Read(bench.Config(4094), 4) == 2);
  CHECK(bench.Read(bench.Config(4096), 4) == 0);
  CHECK(bench.Read(bench.Config(4097), 4) == -EINVAL);
  CHECK(bench.Write(bench.Config(4097), 4) == -EINVAL);
  CHECK(bench.Load<u16>(bench.device, bench.Config(0x10000)) == 0x1234);
}

TEST_CASE("the page of the MSI-X table is kept from writes with allow_unsafe_intrs, in BAR0",
          "[uiommu]") {
  Lab bench;
  CHECK(bench.Write(bench.At(0, 100), 4) == 4);
  bench.machine.parameters().allow_unsafe_intrs = 1;
  CHECK(bench.Write(bench.At(0, 100), 4) == -EINVAL);
  CHECK(bench.Write(bench.At(0, 8_KiB), 4) == 4);
  CHECK(bench.Write(bench.At(5, 0), 4) == 4);  // where the table is
  CHECK(bench.Read(bench.At(0, 100), 4) == 4);
}

TEST_CASE("a page of the MSI-X table can be mapped for reading alone with allow_unsafe_intrs",
          "[uiommu]") {
  Lab bench;
  const auto map = [&](bool writes) {
    const auto mapped = bench.door.Mmap(
        bench.now, bench.client, *bench.client.file(bench.device),
        {.offset = bench.At(0), .length = kPageSize, .shared = true, .writes = writes});
    return mapped ? 0 : -mapped.error().code;
  };
  CHECK(map(true) == 0);
  bench.machine.parameters().allow_unsafe_intrs = 1;
  CHECK(map(true) == -EINVAL);
  CHECK(map(false) == 0);
}

TEST_CASE("BARs of memory can be mapped, shared", "[uiommu]") {
  Lab bench;
  CHECK(bench.Mmap(bench.device, bench.At(0), 64_KiB) == 0);
  CHECK(bench.Mmap(bench.device, bench.At(0), kPageSize, false) == -EINVAL);
  CHECK(bench.Mmap(bench.device, bench.At(0), 64_KiB + kPageSize) == -EINVAL);
  for (const u32 region : {2u, 4u, 6u, 0xfu})
    CHECK(bench.Mmap(bench.device, bench.At(region), kPageSize) == -EINVAL);
}

TEST_CASE("a mapping of a BAR begins with its first page, whatever the offset", "[uiommu]") {
  for (const std::string_view revision : {"A5", "A6", "A-jun", "A-jul-15", "A-jul"}) {
    Lab bench(revision);
    const auto map = [&](u64 offset, u64 length) {
      return bench.door.Mmap(bench.now, bench.client, *bench.client.file(bench.device),
                             {.offset = offset, .length = length, .shared = true});
    };
    CHECK(*map(bench.At(3, 0), kPageSize) == bench.At(3, 0));
    CHECK(*map(bench.At(0, kPageSize), 64_KiB) == bench.At(0));
    CHECK(*map(bench.At(3, 64_KiB), kPageSize) == bench.At(3));
    CHECK(map(bench.At(0, kPageSize), 64_KiB + kPageSize).error().code == EINVAL);
    bench.client.can_trap_registers = false;
    CHECK(*map(bench.At(0, 0), kPageSize) == bench.At(0));
    CHECK(map(bench.At(0, kPageSize), kPageSize).error().code == EINVAL);
  }
}

TEST_CASE("a load of a processor reaches the register of a mapping at its offset", "[uiommu]") {
  Lab bench("A-jun");
  u32 value = 0;
  CHECK(bench.BusLoad(bench.device, bench.At(3, 4), std::as_writable_bytes(std::span{&value, 1})) ==
        4);
  CHECK(value == 0x33333333);
  CHECK(bench.BusLoad(bench.device, bench.At(2), std::as_writable_bytes(std::span{&value, 1})) ==
        -EIO);
}

TEST_CASE("any number of files can be open; the last one disables the device", "[uiommu]") {
  EarlyBench bench;
  const int first = bench.OpenInDomain(), second = bench.OpenDevice();
  bench.Store<u16>(first, bench.Config(PCI_COMMAND), u16{7});
  bench.Close(first);
  CHECK(bench.Load<u16>(second, bench.Config(PCI_COMMAND)) == 7);
  CHECK(bench.Map(second, 0x10000, EarlyBench::kMemory) == 0);  // still in the domain
  bench.Close(second);
  CHECK((bench.slot().config().Get(PCI_COMMAND, 2) & PCI_COMMAND_MASTER) == 0);
  CHECK(bench.Map(bench.OpenDevice(), 0x10000, EarlyBench::kMemory) == -EINVAL);
}

TEST_CASE("since June the last close restores what was before the first open", "[uiommu]") {
  for (const auto& [revision, after] :
       {std::pair{"A6", 0x55}, std::pair{"A-jun", 0}, std::pair{"A-jul", 0}}) {
    EarlyBench bench(revision);
    const int device = bench.OpenInDomain();
    bench.Store<u8>(device, bench.Config(PCI_CACHE_LINE_SIZE), u8{0x55});
    bench.Close(device);
    CHECK(bench.slot().config().Get(PCI_CACHE_LINE_SIZE, 1) == static_cast<u32>(after));
  }
}

TEST_CASE("nodes get the lowest number that is free, and go when the driver is to let go",
          "[uiommu]") {
  EarlyBench bench("A6", EarlyBench::TwoEdus());
  const int device = bench.OpenDevice("vfio0");
  PciBusType& bus = bench.machine.pci_bus();
  bool done = false;
  REQUIRE(bus.Unbind("vfio", kFirst.ToString(), [&] { done = true; }));
  CHECK(bench.OpenInDev("vfio0") == -ENOENT);
  CHECK(bench.OpenInDev("vfio1") > 0);
  CHECK_FALSE(done);
  bench.Close(device);
  CHECK(done);
  REQUIRE(bus.Bind("vfio", kFirst.ToString()));
  CHECK(bench.OpenInDev("vfio0") > 0);
}

TEST_CASE("A5 does not take a function whose INTx cannot be disabled; A6 does", "[uiommu]") {
  EarlyBench october("A5", EarlyBench::Only(kBare));
  EarlyBench april("A6", EarlyBench::Only(kBare));
  const auto bar = [](ConfigSpace& config) { config.MakeWritable(PCI_COMMAND, 2, 0); };
  for (EarlyBench* bench : {&october, &april}) {
    PciBusType& bus = bench->machine.pci_bus();
    REQUIRE(bus.Unbind("vfio", kFirst.ToString(), [] {}));
    bar(bench->slot().config());
  }
  const auto refused = october.machine.pci_bus().Bind("vfio", kFirst.ToString());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ENODEV);
  CHECK(october.slot().driver().empty());
  CHECK(april.machine.pci_bus().Bind("vfio", kFirst.ToString()));
}

TEST_CASE("a number is free as soon as its device is to go", "[uiommu]") {
  EarlyBench bench("A6", EarlyBench::TwoEdus());
  PciBusType& bus = bench.machine.pci_bus();
  REQUIRE(bus.Unbind("vfio", kSecond.ToString(), [] {}));
  const int device = bench.OpenDevice("vfio0");
  REQUIRE(bus.Unbind("vfio", kFirst.ToString(), [] {}));
  REQUIRE(bus.Bind("vfio", kSecond.ToString()));
  CHECK(bench.OpenInDev("vfio0") > 0);
  bench.Close(device);
}

TEST_CASE("sysfs shows the device, its node and what it locks, as long as it is bound",
          "[uiommu]") {
  EarlyBench bench;
  Directory sys;
  sysfs::AddSysfs(bench.machine, sys);
  const auto read = [&](const std::string& path) {
    const auto node = std::dynamic_pointer_cast<FileNode>(Find(sys, path));
    REQUIRE(node != nullptr);
    Reply reply = node->Open(bench.client, 0);
    std::array<std::byte, 64> text{};
    Reply length = reply.completion().opened->Read(bench.client, text, 0);
    return std::string(reinterpret_cast<const char*>(text.data()),
                       static_cast<std::size_t>(*length.completion().value));
  };
  const std::string path = "devices/pci0000:00/0000:00:1c.0/0000:01:00.0/vfio/vfio0/";
  const int device = bench.OpenInDomain();
  CHECK(read(path + "locked_pages") == "0\n");
  REQUIRE(bench.Map(device, 0x10000, EarlyBench::kMemory, 2 * kPageSize) == 0);
  CHECK(read(path + "locked_pages") == "2\n");
  CHECK(read(path + "uevent").ends_with("DEVNAME=vfio0\n"));
  CHECK(read("module/vfio/parameters/allow_unsafe_intrs") == "0\n");
  const auto node = std::dynamic_pointer_cast<FileNode>(Find(sys, path + "locked_pages"));
  const auto kept = node->Open(bench.client, 0).completion().opened;
  bench.Close(device);
  REQUIRE(bench.machine.pci_bus().Unbind("vfio", kFirst.ToString(), [] {}));
  CHECK(Find(sys, path + "locked_pages") == nullptr);
  std::array<std::byte, 8> text{};
  CHECK(*kept->Read(bench.client, text, 0).completion().value == 2);
}
