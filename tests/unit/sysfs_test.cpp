#include "sysfs/sysfs.hpp"

#include <fcntl.h>
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "support/fake_client.hpp"
#include "support/sample_machine.hpp"
#include "support/tree_reader.hpp"
#include "sysfs/parts.hpp"
#include "vfs/attribute.hpp"

namespace vfiolab::sysfs {
namespace {

using test::LinkAt;
using test::NamesAt;
using test::TextAt;
using Names = std::vector<std::string>;

constexpr std::string_view kNic = "devices/pci0000:00/0000:00:0b.0";
constexpr std::string_view kOuterBridge = "devices/pci0000:00/0000:00:1c.0";
constexpr std::string_view kEdu = "devices/pci0000:00/0000:00:1c.0/0000:01:00.0";
constexpr std::string_view kTestdev = "devices/pci0000:00/0000:00:1c.0/0000:01:01.0/0000:02:00.0";

struct Sysfs : test::SampleMachine {
  Sysfs() { AddSysfs(machine, sys, 2); }

  std::string Text(std::string_view directory, std::string_view name) const {
    return TextAt(sys, std::string(directory) + "/" + std::string(name));
  }
  std::string Link(std::string_view directory, std::string_view name) const {
    return LinkAt(sys, std::string(directory) + "/" + std::string(name));
  }
  std::shared_ptr<OpenFile> Open(std::string_view directory, std::string_view name) const {
    Reply reply = test::OpenAt(sys, std::string(directory) + "/" + std::string(name), O_RDWR);
    REQUIRE(reply.completion().value);
    return reply.completion().opened;
  }

  Directory sys;
};

// What a call came to: the value, or the errno as a negative number.
long Outcome(Reply reply) {
  const Result<long>& value = reply.completion().value;
  return value ? *value : -value.error().code;
}

template <class T>
long ReadAt(OpenFile& file, u64 offset, T& value) {
  test::FakeClient client;
  return Outcome(file.Read(client, BytesOf(value), offset));
}

template <class T>
long WriteAt(OpenFile& file, u64 offset, const T& value) {
  test::FakeClient client;
  return Outcome(file.Write(client, BytesOf(value), offset));
}

std::string Lines(std::initializer_list<std::string_view> first, int zeros) {
  std::string text;
  for (const std::string_view line : first) text.append(line) += '\n';
  while (zeros-- > 0) text += "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
  return text;
}

}  // namespace

TEST_CASE("A link goes up to the directory that holds both ends and down from there") {
  CHECK(LinkText("class/iommu/dmar0", "devices/virtual/iommu/dmar0") ==
        "../../devices/virtual/iommu/dmar0");
  CHECK(LinkText("devices/a/b/vfio-dev/vfio0/device", "devices/a/b") == "../../../b");
  CHECK(LinkText("devices/a/b/iommu", "devices/virtual/iommu") == "../../virtual/iommu");
  CHECK(LinkText("devices/a/x", "devices/ab/y") == "../ab/y");
  CHECK(LinkText("x", "y") == "y");
}

TEST_CASE("A set of CPUs is named in groups of 32 bits and as a range") {
  CHECK(FirstCpus(1).mask == "1");
  CHECK(FirstCpus(1).list == "0");
  CHECK(FirstCpus(6).mask == "3f");
  CHECK(FirstCpus(32).mask == "ffffffff");
  CHECK(FirstCpus(65).mask == "1,ffffffff,ffffffff");
  CHECK(FirstCpus(65).list == "0-64");
}

TEST_CASE_METHOD(Sysfs, "Every link leads to something inside the tree") {
  unsigned links = 0;
  for (const std::string& path : test::AllPaths(sys)) {
    if (LinkAt(sys, path) == "(none)") continue;
    INFO(path << " -> " << LinkAt(sys, path));
    CHECK(test::Resolve(sys, path).node != nullptr);
    ++links;
  }
  CHECK(links > 60);
}

TEST_CASE_METHOD(Sysfs, "Every attribute can be read, or is there to be written alone") {
  for (const std::string& path : test::AllPaths(sys)) {
    const auto text = std::dynamic_pointer_cast<TextFile>(test::Resolve(sys, path, false).node);
    if (text == nullptr) continue;
    INFO(path);
    if (text->mode() == (S_IFREG | 0200)) continue;
    CHECK((text->mode() == (S_IFREG | 0444) || text->mode() == (S_IFREG | 0644)));
    const std::string shown = TextAt(sys, path);
    CHECK((shown.empty() || shown.back() == '\n'));
    CHECK(shown.find("\n\n") == std::string::npos);
  }
}

TEST_CASE_METHOD(Sysfs, "Devices lie below the bridges that lead to them") {
  CHECK(NamesAt(sys, "devices") == Names{"pci0000:00", "pci0001:05", "virtual"});
  CHECK(NamesAt(sys, "devices/pci0000:00") == Names{"0000:00:0b.0", "0000:00:1c.0", "pci_bus"});
  CHECK(NamesAt(sys, "bus/pci/devices") == Names{"0000:00:0b.0", "0000:00:1c.0", "0000:01:00.0",
                                                 "0000:01:00.1", "0000:01:01.0", "0000:02:00.0",
                                                 "0001:05:00.0"});
  for (const std::string& name : NamesAt(sys, "bus/pci/devices"))
    CHECK(test::Resolve(sys, "bus/pci/devices/" + name).path.ends_with("/" + name));
  CHECK(test::Resolve(sys, "bus/pci/devices/0000:02:00.0").path == kTestdev);
  CHECK(LinkAt(sys, "bus/pci/devices/0000:01:00.0") ==
        "../../../devices/pci0000:00/0000:00:1c.0/0000:01:00.0");
}

TEST_CASE_METHOD(Sysfs, "A function on a root bus has the files of a real kernel") {
  CHECK(Text(kNic, "vendor") == "0x8086\n");
  CHECK(Text(kNic, "device") == "0x10c9\n");
  CHECK(Text(kNic, "subsystem_vendor") == "0x1af4\n");
  CHECK(Text(kNic, "subsystem_device") == "0x1100\n");
  CHECK(Text(kNic, "class") == "0x020000\n");
  CHECK(Text(kNic, "revision") == "0x01\n");
  CHECK(Text(kNic, "modalias") == "pci:v00008086d000010C9sv00001AF4sd00001100bc02sc00i00\n");
  CHECK(Text(kNic, "uevent") ==
        "DRIVER=vfio-pci\nPCI_CLASS=20000\nPCI_ID=8086:10C9\nPCI_SUBSYS_ID=1AF4:1100\n"
        "PCI_SLOT_NAME=0000:00:0b.0\n"
        "MODALIAS=pci:v00008086d000010C9sv00001AF4sd00001100bc02sc00i00\n");
  CHECK(Text(kNic, "driver_override") == "vfio-pci\n");
  CHECK(Text(kNic, "irq") == "19\n");
  CHECK(Text(kNic, "numa_node") == "-1\n");
  CHECK(Text(kNic, "local_cpulist") == "0-1\n");
  CHECK(Text(kNic, "local_cpus") == "3\n");
  CHECK(Text(kNic, "current_link_speed") == "2.5 GT/s PCIe\n");
  CHECK(Text(kNic, "max_link_width") == "1\n");
  CHECK(Text(kNic, "reset_method") == "flr\n");
  CHECK(Link(kNic, "driver") == "../../../bus/pci/drivers/vfio-pci");
  CHECK(Link(kNic, "iommu") == "../../virtual/iommu/dmar0");
  CHECK(Link(kNic, "iommu_group") == "../../../kernel/iommu_groups/6");
  CHECK(Link(kNic, "subsystem") == "../../../bus/pci");
}

TEST_CASE_METHOD(Sysfs, "Links of a nested function go up as far as it lies deep") {
  CHECK(Link(kTestdev, "driver") == "../../../../../bus/pci/drivers/vfio-pci");
  CHECK(Link(kTestdev, "iommu") == "../../../../virtual/iommu/dmar0");
  CHECK(Link(kTestdev, "iommu_group") == "../../../../../kernel/iommu_groups/7");
  CHECK(Link(kTestdev, "subsystem") == "../../../../../bus/pci");
  CHECK(Text(kTestdev, "reset_method") == "bus\n");
  CHECK(Text(kEdu, "reset_method") == "bus\n");  // when it was found no other was on its bus
  CHECK(Text(kTestdev, "max_link_speed") == "(none)");
}

TEST_CASE_METHOD(Sysfs, "Resources show where BARs lie and of which kind they are") {
  CHECK(Text(kEdu, "resource") ==
        Lines({"0x00000000fe000000 0x00000000fe0fffff 0x0000000000040200"}, 12));
  CHECK(Text(kTestdev, "resource") ==
        Lines({"0x00000000fe200000 0x00000000fe200fff 0x0000000000040200",
               "0x0000000000002000 0x00000000000020ff 0x0000000000040101",
               "0x0000000800000000 0x000000080000ffff 0x000000000014220c"},
              10));
  CHECK(Text(kNic, "resource") ==
        Lines({"0x00000000feac0000 0x00000000feadffff 0x0000000000040200",
               "0x00000000feae0000 0x00000000feafffff 0x0000000000040200",
               "0x000000000000c180 0x000000000000c19f 0x0000000000040101",
               "0x00000000feb44000 0x00000000feb47fff 0x0000000000140204"},
              9));
}

TEST_CASE_METHOD(Sysfs, "A bridge shows its windows behind thirteen empty resources") {
  CHECK(Text(kOuterBridge, "resource") ==
        Lines({}, 13) + Lines({"0x0000000000002000 0x0000000000002fff 0x0000000000000100",
                               "0x00000000fe000000 0x00000000fe2fffff 0x0000000000000200",
                               "0x0000000800000000 0x00000008000fffff 0x0000000000102201"},
                              1));
  const std::string inner = std::string(kOuterBridge) + "/0000:01:01.0";
  CHECK(Text(inner, "resource") ==
        Lines({}, 14) + Lines({"0x00000000fe200000 0x00000000fe2fffff 0x0000000000000200"}, 2));
}

TEST_CASE_METHOD(Sysfs, "A bridge belongs to the port driver and names its buses") {
  CHECK(Link(kOuterBridge, "driver") == "../../../bus/pci/drivers/pcieport");
  CHECK(Text(kOuterBridge, "secondary_bus_number") == "1\n");
  CHECK(Text(kOuterBridge, "subordinate_bus_number") == "2\n");
  CHECK(Text(kOuterBridge, "class") == "0x060400\n");
  CHECK(Text(kOuterBridge, "enable") == "1\n");
  CHECK(Text(kOuterBridge, "uevent") ==
        "DRIVER=pcieport\nPCI_CLASS=60400\nPCI_ID=1B36:000C\nPCI_SUBSYS_ID=0000:0000\n"
        "PCI_SLOT_NAME=0000:00:1c.0\n"
        "MODALIAS=pci:v00001B36d0000000Csv00000000sd00000000bc06sc04i00\n");
  CHECK(Link(kOuterBridge, "iommu_group") == "../../../kernel/iommu_groups/1");
  const std::string inner = std::string(kOuterBridge) + "/0000:01:01.0";
  CHECK(Link(inner, "iommu_group") == "(none)");
  CHECK(Link(inner, "iommu") == "(none)");
}

TEST_CASE_METHOD(Sysfs, "A function without a driver has no driver link and no override") {
  const std::string_view plain = "bus/pci/devices/0001:05:00.0";
  CHECK(Link(plain, "driver") == "(none)");
  CHECK(Text(plain, "driver_override") == "(null)\n");
  CHECK(Text(plain, "uevent").starts_with("PCI_CLASS=FF00\n"));
  CHECK(NamesAt(sys, std::string(plain) + "/vfio-dev").empty());
  CHECK(Text(plain, "power/runtime_status") == "active\n");
}

TEST_CASE_METHOD(Sysfs, "Drivers list their functions, and only those of VFIO have a module") {
  CHECK(NamesAt(sys, "bus/pci/drivers") == Names{"nvme", "pcieport", "vfio-pci"});
  CHECK(NamesAt(sys, "bus/pci/drivers/nvme") ==
        Names{"0000:01:00.1", "bind", "new_id", "remove_id", "unbind"});
  CHECK(NamesAt(sys, "bus/pci/drivers/vfio-pci") ==
        Names{"0000:00:0b.0", "0000:01:00.0", "0000:02:00.0", "module"});
  CHECK(LinkAt(sys, "bus/pci/drivers/vfio-pci/module") == "../../../../module/vfio_pci");
  CHECK(LinkAt(sys, "module/vfio_pci/drivers/pci:vfio-pci") == "../../../bus/pci/drivers/vfio-pci");
  CHECK(TextAt(sys, "bus/pci/drivers_autoprobe") == "1\n");
  CHECK(Text("bus/pci/devices/0000:01:00.1", "enable") == "1\n");
}

TEST_CASE_METHOD(Sysfs, "Devices of VFIO are numbered in the order of their addresses") {
  CHECK(NamesAt(sys, "class/vfio-dev") == Names{"vfio0", "vfio1", "vfio2"});
  CHECK(test::Resolve(sys, "class/vfio-dev/vfio1").path == std::string(kEdu) + "/vfio-dev/vfio1");
  CHECK(NamesAt(sys, std::string(kEdu) + "/vfio-dev") == Names{"vfio1"});
  CHECK(NamesAt(sys, std::string(kEdu) + "/vfio-dev/vfio1") ==
        Names{"device", "subsystem", "uevent"});
  CHECK(Link(kNic, "vfio-dev/vfio0/device") == "../../../0000:00:0b.0");
  CHECK(Link(kNic, "vfio-dev/vfio0/subsystem") == "../../../../../class/vfio-dev");
}

TEST_CASE_METHOD(Sysfs, "Only groups with a device of VFIO are in its class") {
  CHECK(NamesAt(sys, "class/vfio") == Names{"1", "6", "7"});
  CHECK(LinkAt(sys, "class/vfio/6") == "../../devices/virtual/vfio/6");
  CHECK(TextAt(sys, "class/vfio/6/dev") == "385:0\n");
  CHECK(TextAt(sys, "class/vfio/6/uevent") == "MAJOR=385\nMINOR=0\nDEVNAME=vfio/6\n");
}

TEST_CASE_METHOD(Sysfs, "IOMMU groups list their members, bridges too") {
  CHECK(NamesAt(sys, "kernel/iommu_groups") == Names{"1", "12", "6", "7"});
  CHECK(NamesAt(sys, "kernel/iommu_groups/1/devices") ==
        Names{"0000:00:1c.0", "0000:01:00.0", "0000:01:00.1"});
  CHECK(LinkAt(sys, "kernel/iommu_groups/6/devices/0000:00:0b.0") ==
        "../../../../devices/pci0000:00/0000:00:0b.0");
  CHECK(TextAt(sys, "kernel/iommu_groups/6/type") == "DMA-FQ\n");
  CHECK(TextAt(sys, "kernel/iommu_groups/6/reserved_regions") ==
        "0x00000000fee00000 0x00000000feefffff msi\n");
}

TEST_CASE_METHOD(Sysfs, "The IOMMU unit lists all that it translates for") {
  CHECK(NamesAt(sys, "class/iommu/dmar0/devices").size() == 6);
  CHECK(LinkAt(sys, "devices/virtual/iommu/dmar0/devices/0000:00:0b.0") ==
        "../../../../pci0000:00/0000:00:0b.0");
  CHECK(TextAt(sys, "class/iommu/dmar0/intel-iommu/cap") == "d2008c222f0606\n");
  CHECK(TextAt(sys, "class/iommu/dmar0/intel-iommu/domains_supported") == "65536\n");
  CHECK(TextAt(sys, "class/iommu/dmar0/intel-iommu/domains_used") == "5\n");
}

TEST_CASE("The unit's registers say what the IOMMU can do") {
  test::FakeEnvironment environment;
  Trace trace;
  Machine machine(environment, trace,
                  Iommu{.address_width = 39,
                        .page_sizes = 4_KiB,
                        .reserved = {},
                        .mapping_limit = 7,
                        .coherent = false,
                        .interrupt_isolation = false,
                        .strict = true});
  Directory sys;
  AddSysfs(machine, sys);
  const std::string registers = "class/iommu/dmar0/intel-iommu/";
  const u64 cap = std::stoull(TextAt(sys, registers + "cap"), nullptr, 16);
  CHECK((cap >> 16 & 0x3f) == 38);
  CHECK((cap >> 8 & 0x1f) == 0b00010);
  CHECK((cap >> 34 & 0xf) == 0);
  const u64 ecap = std::stoull(TextAt(sys, registers + "ecap"), nullptr, 16);
  CHECK((ecap & (1 << 3 | 1 << 7)) == 0);
  CHECK(TextAt(sys, "module/vfio_iommu_type1/parameters/dma_entry_limit") == "7\n");
  CHECK(NamesAt(sys, "kernel") == Names{"iommu_groups"});
}

TEST_CASE_METHOD(Sysfs, "What depends on a client changes when one comes") {
  CHECK(Text(kNic, "enable") == "0\n");
  CHECK(Text(kNic, "power/runtime_status") == "suspended\n");
  const auto shared = std::make_shared<Ioas>();
  machine.groups().at(6).Attach(shared);
  machine.groups().at(7).Attach(shared);
  CHECK(Text(kNic, "enable") == "1\n");
  CHECK(Text(kNic, "power/runtime_status") == "active\n");
  CHECK(TextAt(sys, "class/iommu/dmar0/intel-iommu/domains_used") == "4\n");
}

TEST_CASE_METHOD(Sysfs, "Buses hang on their bridges and are listed in a class") {
  CHECK(NamesAt(sys, "class/pci_bus") == Names{"0000:00", "0000:01", "0000:02", "0001:05"});
  CHECK(LinkAt(sys, "class/pci_bus/0000:01") ==
        "../../devices/pci0000:00/0000:00:1c.0/pci_bus/0000:01");
  CHECK(test::Resolve(sys, "class/pci_bus/0000:01/device").path == kOuterBridge);
  CHECK(test::Resolve(sys, "class/pci_bus/0001:05/device").path == "devices/pci0001:05");
  CHECK(TextAt(sys, "class/pci_bus/0000:01/cpulistaffinity") == "0-1\n");
}

TEST_CASE_METHOD(Sysfs, "The config file is the hardware's config space as it is now") {
  CHECK(test::Resolve(sys, std::string(kNic) + "/config").node->size() == 4096);
  CHECK(test::Resolve(sys, std::string(kEdu) + "/config").node->size() == 256);
  CHECK(test::Resolve(sys, std::string(kEdu) + "/config").node->mode() == (S_IFREG | 0644));
  const auto config = Open(kEdu, "config");
  u32 id = 0;
  CHECK(ReadAt(*config, 0, id) == 4);
  CHECK(id == 0x11e81234);
  const u16 command = 0xffff;
  CHECK(WriteAt(*config, PCI_COMMAND, command) == 2);
  const u32 stored = machine.device({0, 1, 0, 0})->config().Get(PCI_COMMAND, 2);
  CHECK(stored == (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR |
                   PCI_COMMAND_INTX_DISABLE));
  u16 now = 0;
  CHECK(ReadAt(*config, PCI_COMMAND, now) == 2);
  CHECK(now == stored);
  CHECK(ReadAt(*config, 254, id) == 2);
  CHECK(ReadAt(*config, 256, id) == 0);
  CHECK(WriteAt(*config, 256, id) == -EFBIG);
  CHECK(WriteAt(*config, 254, id) == 2);
}

TEST_CASE_METHOD(Sysfs, "The config file of a bridge keeps what its registers let it keep") {
  const auto config = Open(kOuterBridge, "config");
  const u32 buses = 0xffffffff;
  CHECK(WriteAt(*config, PCI_PRIMARY_BUS, buses) == 4);
  u32 read = 0;
  CHECK(ReadAt(*config, PCI_PRIMARY_BUS, read) == 4);
  CHECK(read == 0x00020100);
}

TEST_CASE_METHOD(Sysfs,
                 "The file of a memory BAR has its size and can be neither read nor written") {
  const auto node = test::Resolve(sys, std::string(kEdu) + "/resource0").node;
  CHECK(node->size() == 1_MiB);
  CHECK(node->mode() == (S_IFREG | 0600));
  const auto file = Open(kEdu, "resource0");
  u32 value = 0;
  CHECK(ReadAt(*file, 0, value) == -EIO);
  CHECK(WriteAt(*file, 0, value) == -EIO);
  CHECK(ReadAt(*file, 1_MiB, value) == 0);
  CHECK(NamesAt(sys, kTestdev).size() > 20);
  CHECK(test::Resolve(sys, std::string(kTestdev) + "/resource2").node->size() == 64_KiB);
  CHECK(test::Resolve(sys, std::string(kTestdev) + "/resource3").node == nullptr);
}

TEST_CASE_METHOD(Sysfs, "The file of a port BAR passes single accesses on to the device") {
  auto& slot = *machine.device({0, 0, 0xb, 0});
  auto& ports = dynamic_cast<test::Nic&>(slot.device()).ports;
  slot.config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_IO, true);
  const auto file = Open(kNic, "resource2");
  const u32 written = 0x44332211;
  CHECK(WriteAt(*file, 4, written) == 4);
  CHECK(ports.accesses == 1);
  u16 odd = 0;
  CHECK(ReadAt(*file, 5, odd) == 2);
  CHECK(odd == 0x3322);
  CHECK(ports.accesses == 3);
  u8 last = 0xff;
  CHECK(ReadAt(*file, 31, last) == 1);
  CHECK(last == 0);
  u64 wide = 0;
  CHECK(ReadAt(*file, 0, wide) == -EINVAL);
  CHECK(WriteAt(*file, 0, wide) == -EINVAL);
  CHECK(ReadAt(*file, 32, last) == 0);
}

TEST_CASE_METHOD(Sysfs, "Ports that the function does not decode read as ones and swallow writes") {
  auto& ports = dynamic_cast<test::Nic&>(machine.device({0, 0, 0xb, 0})->device()).ports;
  machine.device({0, 0, 0xb, 0})->config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_IO, false);
  const auto file = Open(kNic, "resource2");
  u32 value = 0;
  CHECK(ReadAt(*file, 0, value) == 4);
  CHECK(value == 0xffffffff);
  CHECK(WriteAt(*file, 0, value) == 4);
  CHECK(ports.accesses == 0);
}

TEST_CASE("A binary file opens only for what its permissions grant") {
  test::FakeClient client;
  BinaryFile read_only("r", 4, 0444, {});
  CHECK(Outcome(read_only.Open(client, O_RDONLY)) == 0);
  CHECK(Outcome(read_only.Open(client, O_RDWR)) == -EACCES);
  BinaryFile write_only("w", 4, 0200, {});
  CHECK(Outcome(write_only.Open(client, O_WRONLY)) == 0);
  CHECK(Outcome(write_only.Open(client, O_RDONLY)) == -EACCES);
}

}  // namespace vfiolab::sysfs
