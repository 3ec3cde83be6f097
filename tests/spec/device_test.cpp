// The device descriptor's own ioctls: what it tells about itself, resets, features, ioeventfds.
#include "client.hpp"
#include "edu.hpp"

namespace {

constexpr uint32_t kIndexes[] = {0, 1, 2, 3, 4, 5, 6, 7};  // BAR0-5, ROM, config

vfio_device_info Info(int device) {
  vfio_device_info info{};
  info.argsz = sizeof info;
  REQUIRE(Ioctl(device, VFIO_DEVICE_GET_INFO, &info) == 0);
  return info;
}

Result GetRegion(int device, uint32_t index, uint32_t argsz = sizeof(vfio_region_info)) {
  vfio_region_info info{};
  info.argsz = argsz;
  info.index = index;
  return Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info);
}

Result GetIrq(int device, uint32_t index, vfio_irq_info& info) {
  info.index = index;
  return Ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info);
}

vfio_irq_info Irq(int device, uint32_t index) {
  vfio_irq_info info{sizeof info, 0, 0, 0};
  REQUIRE(GetIrq(device, index, info) == 0);
  return info;
}

Result Feature(int device, uint32_t flags, uint32_t argsz = 64) {
  uint64_t buffer[8]{};
  vfio_device_feature feature{argsz, flags};
  std::memcpy(buffer, &feature, sizeof feature);
  return Ioctl(device, VFIO_DEVICE_FEATURE, buffer);
}

Result IoEvent(int device, uint32_t region, uint64_t at, uint32_t size, uint64_t data, int fd) {
  vfio_device_ioeventfd request{};
  request.argsz = sizeof request;
  request.flags = size;
  request.offset = RegionOffset(device, region) + at;
  request.data = data;
  request.fd = fd;
  return Ioctl(device, VFIO_DEVICE_IOEVENTFD, &request);
}

}  // namespace

TEST_CASE("DEVICE_GET_INFO: a PCI device with 9 regions and 5 kinds of interrupt", "[device]") {
  Client client = OpenEdu();
  vfio_device_info info = Info(client.device);
  CHECK((info.flags & VFIO_DEVICE_FLAGS_PCI) != 0);
  CHECK((info.flags & ~(VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET)) == 0);
  CHECK(info.num_regions == VFIO_PCI_NUM_REGIONS);
  CHECK(info.num_irqs == VFIO_PCI_NUM_IRQS);
}

TEST_CASE("DEVICE_GET_INFO with argsz below 16 is EINVAL", "[device]") {
  Client client = OpenEdu();
  vfio_device_info info{};
  for (uint32_t argsz : {0u, 15u}) {
    info.argsz = argsz;
    CHECK(Ioctl(client.device, VFIO_DEVICE_GET_INFO, &info) == Errno{EINVAL});
  }
}

TEST_CASE("DEVICE_GET_INFO with argsz 16 writes 16 bytes", "[device]") {
  Client client = OpenEdu();
  vfio_device_info info{};
  info.argsz = 16;
  info.cap_offset = 0x5a5a5a5a;
  CHECK(Ioctl(client.device, VFIO_DEVICE_GET_INFO, &info) == 0);
  CHECK(info.num_regions == VFIO_PCI_NUM_REGIONS);
  CHECK(info.cap_offset == 0x5a5a5a5a);
}

TEST_CASE("RESET works if GET_INFO says so, and is EINVAL if not", "[device]") {
  Client client = OpenEdu();
  bool works = (Info(client.device).flags & VFIO_DEVICE_FLAGS_RESET) != 0;
  Result reset = Ioctl(client.device, VFIO_DEVICE_RESET);
  CHECK(reset == (works ? Errno{0} : Errno{EINVAL}));
}

TEST_CASE("after a RESET, done or refused, the device still answers and COMMAND is as it was",
          "[device]") {
  Client client = OpenEdu();
  SetCommand(client.device, kCommandMaster | kCommandMemory, 0);
  uint16_t before = ReadConfig<uint16_t>(client.device, kPciCommand);
  Ioctl(client.device, VFIO_DEVICE_RESET);
  CHECK(ReadConfig<uint16_t>(client.device, kPciCommand) == before);
  CHECK((ReadRegister(client.device, kEduId) & 0xffff) == 0x00ed);
}

TEST_CASE("GET_PCI_HOT_RESET_INFO checks argsz; then it says how many devices, or ENODEV",
          "[device]") {
  Client client = OpenEdu();
  vfio_pci_hot_reset_info info{};
  info.argsz = sizeof info - 1;
  CHECK(Ioctl(client.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info) == Errno{EINVAL});
  info.argsz = sizeof info;
  Result result = Ioctl(client.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info);
  if (result == Errno{ENOSPC})
    CHECK(info.count >= 1);
  else
    CHECK(result == Errno{ENODEV});  // a device on the root bus has no bus to reset
}

TEST_CASE("PCI_HOT_RESET with a short argsz, with flags or without groups is EINVAL", "[device]") {
  Client client = OpenEdu();
  vfio_pci_hot_reset reset{};
  reset.argsz = sizeof reset - 1;
  reset.count = 1;
  CHECK(Ioctl(client.device, VFIO_DEVICE_PCI_HOT_RESET, &reset) == Errno{EINVAL});
  reset.argsz = sizeof reset;
  reset.flags = 1;
  CHECK(Ioctl(client.device, VFIO_DEVICE_PCI_HOT_RESET, &reset) == Errno{EINVAL});
  reset.flags = 0;
  reset.count = 0;
  CHECK(Ioctl(client.device, VFIO_DEVICE_PCI_HOT_RESET, &reset) == Errno{EINVAL});
}

// ---- Regions ----

TEST_CASE("GET_REGION_INFO: edu has 1 MiB in BAR0 and nothing in the other BARs and the ROM",
          "[device][region]") {
  Client client = OpenEdu();
  vfio_region_info bar0 = RegionInfo(client.device, VFIO_PCI_BAR0_REGION_INDEX);
  CHECK(bar0.size == 1 << 20);
  CHECK((bar0.flags & ~VFIO_REGION_INFO_FLAG_MMAP) ==
        (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE));
  for (uint32_t index : {1, 2, 3, 4, 5, VFIO_PCI_ROM_REGION_INDEX + 0}) {
    vfio_region_info absent = RegionInfo(client.device, index);
    CHECK(absent.size == 0);
    CHECK(absent.flags == 0);
  }
}

TEST_CASE("GET_REGION_INFO: config space has 256 bytes or 4 KiB, and no mmap", "[device][region]") {
  Client client = OpenEdu();
  vfio_region_info config = RegionInfo(client.device, VFIO_PCI_CONFIG_REGION_INDEX);
  CHECK((config.size == 256 || config.size == 4096));
  CHECK(config.flags == (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE));
}

TEST_CASE("GET_REGION_INFO: pci-testdev has memory, I/O ports and memory above",
          "[device][region]") {
  constexpr uint32_t kReadable = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
  Client client = OpenClient(Testdev());
  CHECK(RegionInfo(client.device, 0).size == kPage);
  CHECK((RegionInfo(client.device, 0).flags & kReadable) == kReadable);
  CHECK(RegionInfo(client.device, 1).size == 256);
  CHECK(RegionInfo(client.device, 1).flags == kReadable);
  CHECK(RegionInfo(client.device, 2).size == 65536);
  CHECK((RegionInfo(client.device, 2).flags & kReadable) == kReadable);
  CHECK(RegionInfo(client.device, 3).size == 0);  // the upper half of BAR2's address
  CHECK(RegionInfo(client.device, 3).flags == 0);
}

TEST_CASE("GET_REGION_INFO: every region has its own offset, which absent ones have too",
          "[device][region]") {
  Client client = OpenEdu();
  for (uint32_t one : kIndexes)
    for (uint32_t other : kIndexes)
      if (one != other)
        CHECK(RegionOffset(client.device, one) != RegionOffset(client.device, other));
}

TEST_CASE("GET_REGION_INFO with argsz below 32 is EINVAL", "[device][region]") {
  Client client = OpenEdu();
  CHECK(GetRegion(client.device, 0, 31) == Errno{EINVAL});
  CHECK(GetRegion(client.device, 0, 0) == Errno{EINVAL});
  CHECK(GetRegion(client.device, 0, 4096) == 0);
}

TEST_CASE("GET_REGION_INFO of the VGA region is EINVAL for a device that is no VGA",
          "[device][region]") {
  Client client = OpenEdu();
  CHECK(GetRegion(client.device, VFIO_PCI_VGA_REGION_INDEX) == Errno{EINVAL});
}

TEST_CASE("GET_REGION_INFO of an index past num_regions is EINVAL", "[device][region]") {
  Client client = OpenEdu();
  CHECK(GetRegion(client.device, VFIO_PCI_NUM_REGIONS) == Errno{EINVAL});
  CHECK(GetRegion(client.device, ~0u) == Errno{EINVAL});
}

// ---- Interrupts ----

TEST_CASE("GET_IRQ_INFO: edu has one INTx, which masks itself", "[device][irq]") {
  Client client = OpenEdu();
  vfio_irq_info info = Irq(client.device, VFIO_PCI_INTX_IRQ_INDEX);
  CHECK(info.count == 1);
  CHECK(info.flags == (VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED));
}

TEST_CASE("GET_IRQ_INFO: edu has one MSI and no MSI-X", "[device][irq]") {
  Client client = OpenEdu();
  vfio_irq_info msi = Irq(client.device, VFIO_PCI_MSI_IRQ_INDEX);
  CHECK(msi.count == 1);
  CHECK(msi.flags == (VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE));
  CHECK(Irq(client.device, VFIO_PCI_MSIX_IRQ_INDEX).count == 0);
}

TEST_CASE("GET_IRQ_INFO: pci-testdev has no INTx, MSI or MSI-X, which is no error",
          "[device][irq]") {
  Client client = OpenClient(Testdev());
  CHECK(Irq(client.device, VFIO_PCI_INTX_IRQ_INDEX).count == 0);
  CHECK(Irq(client.device, VFIO_PCI_MSI_IRQ_INDEX).count == 0);
  CHECK(Irq(client.device, VFIO_PCI_MSIX_IRQ_INDEX).count == 0);
}

TEST_CASE("GET_IRQ_INFO: every device has one ERR and one REQ", "[device][irq]") {
  for (const std::string& address : {Edu(), Testdev()}) {
    Client client = OpenClient(address);
    for (uint32_t index : {VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX}) {
      vfio_irq_info info = Irq(client.device, index);
      CHECK(info.count == 1);
      CHECK(info.flags == (VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE));
    }
  }
}

TEST_CASE("GET_IRQ_INFO with argsz below 16 or an index past num_irqs is EINVAL", "[device][irq]") {
  Client client = OpenEdu();
  vfio_irq_info info{15, 0, 0, 0};
  CHECK(GetIrq(client.device, 0, info) == Errno{EINVAL});
  info.argsz = sizeof info;
  CHECK(GetIrq(client.device, VFIO_PCI_NUM_IRQS, info) == Errno{EINVAL});
  CHECK(GetIrq(client.device, ~0u, info) == Errno{EINVAL});
}

// ---- Features ----

TEST_CASE("DEVICE_FEATURE with argsz below 8 is EINVAL", "[device][feature]") {
  Client client = OpenEdu();
  CHECK(Feature(client.device, VFIO_DEVICE_FEATURE_PROBE, 7) == Errno{EINVAL});
}

TEST_CASE("DEVICE_FEATURE with flags nobody knows, or GET and SET without PROBE, is EINVAL",
          "[device][feature]") {
  Client client = OpenEdu();
  uint32_t unknown = 0xffff;
  CHECK(Feature(client.device, unknown | 1u << 31) == Errno{EINVAL});
  CHECK(Feature(client.device, unknown | VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET) ==
        Errno{EINVAL});
}

TEST_CASE("DEVICE_FEATURE of a feature the device does not have is ENOTTY", "[device][feature]") {
  Client client = OpenEdu();
  CHECK(Feature(client.device, VFIO_DEVICE_FEATURE_PROBE | 0xffff) == Errno{ENOTTY});
  CHECK(Feature(client.device, VFIO_DEVICE_FEATURE_GET | 0xffff) == Errno{ENOTTY});
  CHECK(Feature(client.device, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
                                   VFIO_DEVICE_FEATURE_MIGRATION) == Errno{ENOTTY});
  CHECK(Feature(client.device, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET |
                                   VFIO_DEVICE_FEATURE_PCI_VF_TOKEN) == Errno{ENOTTY});
}

// ---- Ioeventfds: an eventfd that writes a register ----

TEST_CASE("IOEVENTFD needs one known size and a descriptor that is not below -1",
          "[device][ioeventfd]") {
  Event event;
  Client client = OpenEdu();
  CHECK(IoEvent(client.device, 0, kEduLiveness, 0, 1, event) == Errno{EINVAL});
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4 | 8, 1, event) == Errno{EINVAL});
  CHECK(IoEvent(client.device, 0, kEduLiveness, 16, 1, event) == Errno{EINVAL});
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4, 1, -2) == Errno{EINVAL});
}

TEST_CASE("IOEVENTFD outside the BARs or past a BAR's end is EINVAL", "[device][ioeventfd]") {
  Event event;
  Client client = OpenEdu();
  CHECK(IoEvent(client.device, VFIO_PCI_CONFIG_REGION_INDEX, 4, 4, 1, event) == Errno{EINVAL});
  CHECK(IoEvent(client.device, 0, 1 << 20, 4, 1, event) == Errno{EINVAL});
  CHECK(IoEvent(client.device, 0, (1 << 20) - 4, 8, 1, event) == Errno{EINVAL});
  CHECK(IoEvent(client.device, 1, 0, 4, 1, event) == Errno{EINVAL});
}

TEST_CASE("IOEVENTFD with a bad descriptor is EBADF, with no eventfd EINVAL",
          "[device][ioeventfd]") {
  Client client = OpenEdu();
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4, 1, 1000000) == Errno{EBADF});
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4, 1, client.container) == Errno{EINVAL});
}

TEST_CASE("IOEVENTFD: the same one twice is EEXIST; -1 removes it, then it is ENODEV",
          "[device][ioeventfd]") {
  Event event;
  Client client = OpenEdu();
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4, 1, -1) == Errno{ENODEV});
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4, 1, event) == 0);
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4, 1, event) == Errno{EEXIST});
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4, 2, event) == 0);
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4, 1, -1) == 0);
  CHECK(IoEvent(client.device, 0, kEduLiveness, 4, 1, -1) == Errno{ENODEV});
}

TEST_CASE("IOEVENTFD: a signal writes the value to the register", "[device][ioeventfd]") {
  Event event;
  Client client = OpenEdu();
  WriteRegister(client.device, kEduLiveness, 0);
  REQUIRE(IoEvent(client.device, 0, kEduLiveness, 4, 0x12345678, event) == 0);
  event.Signal();
  for (int i = 0; i < 200 && ReadRegister(client.device, kEduLiveness) != ~0x12345678u; i++)
    ::usleep(10'000);
  CHECK(ReadRegister(client.device, kEduLiveness) == ~0x12345678u);
}

TEST_CASE("an ioctl the device does not know is ENOTTY", "[device]") {
  Client client = OpenEdu();
  CHECK(Ioctl(client.device, _IO(VFIO_TYPE, VFIO_BASE + 99)) == Errno{ENOTTY});
  CHECK(Ioctl(client.device, VFIO_GET_API_VERSION) == Errno{ENOTTY});
  CHECK(Ioctl(client.device, VFIO_GROUP_GET_STATUS, Nowhere()) == Errno{ENOTTY});
  CHECK(Ioctl(client.device, VFIO_DEVICE_QUERY_GFX_PLANE) == Errno{ENOTTY});
}
