// PCI configuration space through VFIO: which bits are the device's, which are a copy that only
// this client sees, and which cannot be changed.
#include "client.hpp"
#include "edu.hpp"

namespace {

constexpr uint32_t kVendor = 0x00, kDevice = 0x02, kRevision = 0x08, kClass = 0x09, kBar0 = 0x10,
                   kSubsystem = 0x2c, kRom = 0x30, kCapabilities = 0x34, kLine = 0x3c, kPin = 0x3d;

// The offset of a capability, or 0.
uint32_t FindCapability(int device, uint8_t id) {
  uint32_t at = ReadConfig<uint8_t>(device, kCapabilities);
  for (int i = 0; at && i < 48; i++) {
    if (ReadConfig<uint8_t>(device, at) == id) return at;
    at = ReadConfig<uint8_t>(device, at + 1);
  }
  return 0;
}

// What the bytes read as after an attempt to write them.
template <class Word>
Word AfterWriting(int device, uint32_t at, Word value) {
  WriteConfig<Word>(device, at, value);
  return ReadConfig<Word>(device, at);
}

uint16_t Command(int device) { return ReadConfig<uint16_t>(device, kPciCommand); }

}  // namespace

TEST_CASE("config: the ids are the device's and cannot be written", "[config]") {
  Client client = OpenEdu();
  CHECK(ReadConfig<uint16_t>(client.device, kVendor) == 0x1234);
  CHECK(ReadConfig<uint16_t>(client.device, kDevice) == 0x11e8);
  CHECK(AfterWriting<uint32_t>(client.device, kVendor, 0xffffffff) == 0x11e81234);
  CHECK(AfterWriting<uint32_t>(client.device, kVendor, 0) == 0x11e81234);
}

TEST_CASE("config: class, revision and subsystem cannot be written", "[config]") {
  Client client = OpenEdu();
  for (uint32_t at : {kRevision, kSubsystem}) {
    uint32_t before = ReadConfig<uint32_t>(client.device, at);
    CHECK(AfterWriting<uint32_t>(client.device, at, ~before) == before);
  }
  CHECK(ReadConfig<uint8_t>(client.device, kRevision) == 0x10);
  CHECK(ReadConfig<uint8_t>(client.device, kClass + 2) == 0x00);
  CHECK(ReadConfig<uint8_t>(client.device, kClass + 1) == 0xff);
}

TEST_CASE("config: a device is opened with memory on and bus mastering off", "[config]") {
  Client client = OpenEdu();
  CHECK((Command(client.device) & kCommandMemory) != 0);
  CHECK((Command(client.device) & kCommandMaster) == 0);
  CHECK((Command(client.device) & kCommandNoIntx) == 0);
}

TEST_CASE("config: a device with I/O ports is opened with them on", "[config]") {
  Client client = OpenClient(Testdev());
  CHECK((Command(client.device) & 1) != 0);
}

TEST_CASE("config: COMMAND's memory, bus master and INTx-disable bits can be set and cleared",
          "[config]") {
  Client client = OpenEdu();
  for (uint16_t bit : {kCommandMemory, kCommandMaster, kCommandNoIntx}) {
    SetCommand(client.device, bit, 0);
    CHECK((Command(client.device) & bit) == bit);
    SetCommand(client.device, 0, bit);
    CHECK((Command(client.device) & bit) == 0);
  }
}

TEST_CASE("config: COMMAND's reserved bits stay 0", "[config]") {
  Client client = OpenEdu();
  CHECK((AfterWriting<uint16_t>(client.device, kPciCommand, 0xffff) & 0xf800) == 0);
}

TEST_CASE("config: COMMAND's bytes can be written one at a time", "[config]") {
  Client client = OpenEdu();
  uint8_t low = ReadConfig<uint8_t>(client.device, kPciCommand);
  WriteConfig<uint8_t>(client.device, kPciCommand, low | kCommandMaster);
  CHECK((Command(client.device) & kCommandMaster) != 0);
  WriteConfig<uint8_t>(client.device, kPciCommand + 1, kCommandNoIntx >> 8);
  CHECK((Command(client.device) & (kCommandNoIntx | kCommandMaster)) ==
        (kCommandNoIntx | kCommandMaster));
}

TEST_CASE("config: one write over COMMAND and STATUS changes COMMAND only", "[config]") {
  Client client = OpenEdu();
  uint16_t status = ReadConfig<uint16_t>(client.device, kPciStatus);
  WriteConfig<uint32_t>(client.device, kPciCommand,
                        static_cast<uint32_t>(~status << 16) | kCommandMemory | kCommandMaster);
  CHECK((Command(client.device) & kCommandMaster) != 0);
  CHECK(ReadConfig<uint16_t>(client.device, kPciStatus) == status);
}

TEST_CASE("config: STATUS says that there are capabilities exactly if there are", "[config]") {
  constexpr uint16_t kHasCapabilities = 0x10;
  Client edu = OpenEdu();
  CHECK((ReadConfig<uint16_t>(edu.device, kPciStatus) & kHasCapabilities) != 0);
  CHECK(ReadConfig<uint8_t>(edu.device, kCapabilities) != 0);
  Client testdev = OpenClient(Testdev());
  CHECK((ReadConfig<uint16_t>(testdev.device, kPciStatus) & kHasCapabilities) == 0);
  CHECK(ReadConfig<uint8_t>(testdev.device, kCapabilities) == 0);
}

TEST_CASE("config: STATUS and the capability pointer cannot be written", "[config]") {
  Client client = OpenEdu();
  uint16_t status = ReadConfig<uint16_t>(client.device, kPciStatus);
  uint8_t pointer = ReadConfig<uint8_t>(client.device, kCapabilities);
  CHECK(AfterWriting<uint16_t>(client.device, kPciStatus, 0xffff) == status);
  CHECK(AfterWriting<uint8_t>(client.device, kCapabilities, 0xff) == pointer);
}

// ---- BARs ----

TEST_CASE("config: a BAR written with ones reads back as its size mask", "[config][bar]") {
  Client edu = OpenEdu();
  CHECK(AfterWriting<uint32_t>(edu.device, kBar0, 0xffffffff) == 0xfff00000);
  Client testdev = OpenClient(Testdev());
  CHECK(AfterWriting<uint32_t>(testdev.device, kBar0, 0xffffffff) == 0xfffff000);
}

TEST_CASE("config: an I/O BAR written with ones reads back as its size mask and the I/O bit",
          "[config][bar]") {
  Client client = OpenClient(Testdev());
  CHECK(AfterWriting<uint32_t>(client.device, kBar0 + 4, 0xffffffff) == 0xffffff01);
}

TEST_CASE("config: a 64-bit BAR written with ones keeps its type bits, and has an upper half",
          "[config][bar]") {
  Client client = OpenClient(Testdev());
  uint32_t type = ReadConfig<uint32_t>(client.device, kBar0 + 8) & 0xf;
  CHECK((type & 6) == 4);
  CHECK(AfterWriting<uint32_t>(client.device, kBar0 + 8, 0xffffffff) == (0xffff0000 | type));
  CHECK(AfterWriting<uint32_t>(client.device, kBar0 + 12, 0xffffffff) == 0xffffffff);
}

TEST_CASE("config: a BAR the device does not have reads 0 whatever was written", "[config][bar]") {
  Client client = OpenEdu();
  for (uint32_t bar = 1; bar < 6; bar++)
    CHECK(AfterWriting<uint32_t>(client.device, kBar0 + 4 * bar, 0xffffffff) == 0);
  CHECK(AfterWriting<uint32_t>(client.device, kRom, 0xffffffff) == 0);
}

TEST_CASE("config: a BAR takes any aligned address, which does not move its region",
          "[config][bar]") {
  Client client = OpenEdu();
  uint64_t offset = RegionOffset(client.device, 0);
  CHECK(AfterWriting<uint32_t>(client.device, kBar0, 0x12345678) == 0x12300000);
  CHECK(RegionOffset(client.device, 0) == offset);
  CHECK((ReadRegister(client.device, kEduId) & 0xffff) == 0x00ed);
}

TEST_CASE("config: a BAR can be written byte by byte", "[config][bar]") {
  Client client = OpenEdu();
  WriteConfig<uint32_t>(client.device, kBar0, 0);
  WriteConfig<uint8_t>(client.device, kBar0 + 3, 0x80);
  WriteConfig<uint8_t>(client.device, kBar0 + 2, 0x50);
  CHECK(ReadConfig<uint32_t>(client.device, kBar0) == 0x80500000);
}

// ---- Interrupt line and pin ----

TEST_CASE("config: the interrupt line is a byte for the client's own use", "[config]") {
  Client client = OpenEdu();
  CHECK(AfterWriting<uint8_t>(client.device, kLine, 0x5a) == 0x5a);
  CHECK(AfterWriting<uint8_t>(client.device, kLine, 0xff) == 0xff);
}

TEST_CASE("config: the interrupt pin says A for edu, none for pci-testdev, and is not writable",
          "[config]") {
  Client edu = OpenEdu();
  CHECK(ReadConfig<uint8_t>(edu.device, kPin) == 1);
  CHECK(AfterWriting<uint8_t>(edu.device, kPin, 2) == 1);
  Client testdev = OpenClient(Testdev());
  CHECK(ReadConfig<uint8_t>(testdev.device, kPin) == 0);
}

// ---- The MSI capability ----

TEST_CASE("config: edu has an MSI capability for one 64-bit message", "[config][msi]") {
  Client client = OpenEdu();
  uint32_t msi = FindCapability(client.device, 5);
  REQUIRE(msi != 0);
  uint16_t control = ReadConfig<uint16_t>(client.device, msi + 2);
  CHECK((control & 0x80) != 0);
  CHECK((control & 0x0e) == 0);
  CHECK((control & 0x01) == 0);
}

TEST_CASE("config: MSI cannot be enabled here, nor given more vectors than there are",
          "[config][msi]") {
  Client client = OpenEdu();
  uint32_t control = FindCapability(client.device, 5) + 2;
  uint16_t before = ReadConfig<uint16_t>(client.device, control);
  CHECK((AfterWriting<uint16_t>(client.device, control, before | 0x01) & 0x01) == 0);
  CHECK((AfterWriting<uint16_t>(client.device, control, before | 0x70) & 0x70) == 0);
}

TEST_CASE("config: MSI's address and data are for the client's own use", "[config][msi]") {
  Client client = OpenEdu();
  uint32_t msi = FindCapability(client.device, 5);
  CHECK(AfterWriting<uint32_t>(client.device, msi + 4, 0xfee01004) == 0xfee01004);
  CHECK(AfterWriting<uint32_t>(client.device, msi + 8, 0x12345678) == 0x12345678);
  CHECK(AfterWriting<uint16_t>(client.device, msi + 12, 0xabcd) == 0xabcd);
}

TEST_CASE("config: MSI's id and next pointer cannot be written", "[config][msi]") {
  Client client = OpenEdu();
  uint32_t msi = FindCapability(client.device, 5);
  uint16_t before = ReadConfig<uint16_t>(client.device, msi);
  CHECK(AfterWriting<uint16_t>(client.device, msi, 0xffff) == before);
}

TEST_CASE("config: MSI reads as enabled while SET_IRQS has it enabled", "[config][msi]") {
  Event event;
  Client client = OpenEdu();
  uint32_t control = FindCapability(client.device, 5) + 2;
  REQUIRE(SetIrqs(client.device, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, {event}) ==
          0);
  uint16_t before = ReadConfig<uint16_t>(client.device, control);
  CHECK((AfterWriting<uint16_t>(client.device, control, before | 0x01) & 0x01) == 1);
}

// ---- Accesses ----

TEST_CASE("config: all of it can be read at once, and agrees with reads of single bytes",
          "[config]") {
  Client client = OpenEdu();
  vfio_region_info region = RegionInfo(client.device, VFIO_PCI_CONFIG_REGION_INDEX);
  std::vector<uint8_t> all(region.size);
  CHECK(Read(client.device, all.data(), all.size(), region.offset) ==
        static_cast<long>(region.size));
  for (uint32_t at = 0; at < 256; at++)
    if (ReadConfig<uint8_t>(client.device, at) != all[at]) CHECK(at == ~0u);
}

TEST_CASE("config: reads may have any length and alignment", "[config]") {
  uint8_t bytes[5]{};
  Client client = OpenEdu();
  uint64_t offset = RegionOffset(client.device, VFIO_PCI_CONFIG_REGION_INDEX);
  CHECK(Read(client.device, bytes, 5, offset + 1) == 5);
  CHECK(bytes[0] == 0x12);
  CHECK(bytes[1] == 0xe8);
  CHECK(bytes[2] == 0x11);
  CHECK(Read(client.device, bytes, 0, offset) == 0);
}

TEST_CASE("config: an access that reaches past the end is EFAULT and does nothing", "[config]") {
  uint64_t value = 0x5a5a5a5a5a5a5a5a;
  Client client = OpenEdu();
  vfio_region_info region = RegionInfo(client.device, VFIO_PCI_CONFIG_REGION_INDEX);
  CHECK(Read(client.device, &value, 8, region.offset + region.size - 4) == Errno{EFAULT});
  CHECK(Read(client.device, &value, 1, region.offset + region.size) == Errno{EFAULT});
  CHECK(Write(client.device, &value, 8, region.offset + region.size - 4) == Errno{EFAULT});
  CHECK(Write(client.device, &value, 1, region.offset + region.size) == Errno{EFAULT});
  CHECK(value == 0x5a5a5a5a5a5a5a5a);
}

TEST_CASE("config: two descriptors of one device see the same registers", "[config]") {
  Client client = OpenEdu();
  Fd second = OpenDevice(client.group, Edu());
  WriteConfig<uint8_t>(client.device, kLine, 0x77);
  CHECK(ReadConfig<uint8_t>(second, kLine) == 0x77);
}
