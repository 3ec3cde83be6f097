// BARs and mmap: pci-testdev in group 2 and edu in group 1, as in topologies/two-groups.json.
//
//   e2e_mmap mappable       BAR2 of pci-testdev can be mapped
//   e2e_mmap not-mappable   it says that it cannot, and cannot
//   e2e_mmap peer           it can, and is memory for the DMA of another device

#include "client.hpp"

static bool CannotMap(int fd, uint64_t offset, uint64_t size, int flags, int error = EINVAL) {
  errno = 0;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
  if (memory == MAP_FAILED) return errno == error || (printf("errno %d\n", errno), false);
  munmap(memory, size);
  return false;
}

static void UseMapping(const Device& device, const vfio_region_info& bar) {
  void* memory = mmap(nullptr, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device.fd,
                      static_cast<off_t>(bar.offset));
  Require(memory != MAP_FAILED, "mmap of BAR2");
  auto* words = static_cast<volatile uint32_t*>(memory);
  const off_t at = static_cast<off_t>(bar.offset);
  for (uint64_t i = 0; i < bar.size / 4; i += 97) {
    const uint32_t value = 0x1000000 + static_cast<uint32_t>(i);
    uint32_t seen = 0;
    words[i] = value;
    Require(pread(device.fd, &seen, 4, at + static_cast<off_t>(4 * i)) == 4, "pread of BAR2");
    Expect(seen == value, "pread sees a store");
    seen = ~value;
    Require(pwrite(device.fd, &seen, 4, at + static_cast<off_t>(4 * i)) == 4, "pwrite of BAR2");
    Expect(words[i] == ~value, "a load sees pwrite");
  }
  // A part of it, mapped once more.
  void* part = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, device.fd,
                    at + static_cast<off_t>(bar.size - kPage));
  Require(part != MAP_FAILED, "mmap of BAR2's last page");
  words[bar.size / 4 - 1] = 0x5a5a5a5a;
  Expect(static_cast<volatile uint32_t*>(part)[kPage / 4 - 1] == 0x5a5a5a5a,
         "two mappings are the same memory");
  void* read_only = mmap(nullptr, kPage, PROT_READ, MAP_SHARED, device.fd, at);
  Require(read_only != MAP_FAILED, "mmap of BAR2 for reading");
  Expect(static_cast<volatile uint32_t*>(read_only)[0] == words[0], "so is one for reading only");

  Expect(CannotMap(device.fd, bar.offset, kPage, MAP_PRIVATE), "MAP_PRIVATE is EINVAL");
  Expect(CannotMap(device.fd, bar.offset, bar.size + kPage, MAP_SHARED),
         "a page beyond the BAR is EINVAL");
  Expect(CannotMap(device.fd, bar.offset + bar.size, kPage, MAP_SHARED),
         "right behind the BAR is EINVAL");
  Expect(munmap(part, kPage) == 0 && munmap(memory, bar.size) == 0, "munmap");
}

// edu's DMA goes to the mapped BAR2 of pci-testdev: two devices in one container.
static void Peer() {
  Edu edu;
  const int group = OpenNode("2");
  Require(group >= 0, "open of the other group");
  Require(ioctl(group, VFIO_GROUP_SET_CONTAINER, &edu.container) == 0, "SET_CONTAINER");
  const int testdev = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:02:00.0");
  Require(testdev >= 0, "GET_DEVICE_FD");
  const uint16_t memory_and_master = 6;
  const off_t config = edu.Offset(VFIO_PCI_CONFIG_REGION_INDEX);
  Require(pwrite(testdev, &memory_and_master, 2, config + 4) == 2, "write of COMMAND");
  vfio_region_info bar2{};
  bar2.argsz = sizeof bar2;
  bar2.index = VFIO_PCI_BAR2_REGION_INDEX;
  Require(ioctl(testdev, VFIO_DEVICE_GET_REGION_INFO, &bar2) == 0, "GET_REGION_INFO");
  void* mapped = mmap(nullptr, bar2.size, PROT_READ | PROT_WRITE, MAP_SHARED, testdev,
                      static_cast<off_t>(bar2.offset));
  Require(mapped != MAP_FAILED, "mmap of BAR2");
  auto* bar = static_cast<uint8_t*>(mapped);
  edu.Map(bar, 0x100000, bar2.size);
  memset(bar, 0x5a, 256);
  edu.ToDevice(0x100000, 256);
  edu.ToMemory(0x100000 + kPage, 256);
  for (int i = 0; i < 256; i++)
    Expect(bar[kPage + static_cast<unsigned>(i)] == 0x5a, "BAR2 has got what the device wrote");
  uint32_t seen = 0;
  Require(pread(testdev, &seen, 4, static_cast<off_t>(bar2.offset + kPage)) == 4, "pread of BAR2");
  Expect(seen == 0x5a5a5a5a, "pread sees it, too");
  edu.Unmap(0x100000, bar2.size);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "peer") == 0) {
    Peer();
    return 0;
  }
  const bool mappable = argc > 1 && strcmp(argv[1], "mappable") == 0;
  Device test("2", "0000:02:00.0");
  const vfio_region_info bar2 = test.Region(VFIO_PCI_BAR2_REGION_INDEX);
  Expect(bar2.size == 64 * 1024, "BAR2 has 64 KiB");
  const bool says_so = (bar2.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0;
  printf("BAR2 %s be mapped\n", says_so ? "can" : "cannot");
  Expect(says_so == mappable, "FLAG_MMAP of BAR2 is as expected");
  if (mappable)
    UseMapping(test, bar2);
  else
    Expect(CannotMap(test.fd, bar2.offset, kPage, MAP_SHARED), "mmap of BAR2 is EINVAL");
  const uint32_t value = 0x12345678;
  uint32_t seen = 0;
  Require(pwrite(test.fd, &value, 4, static_cast<off_t>(bar2.offset)) == 4, "pwrite of BAR2");
  Require(pread(test.fd, &seen, 4, static_cast<off_t>(bar2.offset)) == 4, "pread of BAR2");
  Expect(seen == value, "pread sees pwrite");

  for (uint32_t index :
       {VFIO_PCI_BAR1_REGION_INDEX, VFIO_PCI_BAR3_REGION_INDEX, VFIO_PCI_ROM_REGION_INDEX,
        VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_VGA_REGION_INDEX})
    Expect(CannotMap(test.fd, uint64_t{index} << 40, kPage, MAP_SHARED),
           "mmap of region " + std::to_string(index) + " is EINVAL");
  Expect(CannotMap(test.fd, uint64_t{100} << 40, kPage, MAP_SHARED),
         "mmap of a region that there is not is EINVAL");
  Edu edu;
  const uint32_t flags = edu.Region(VFIO_PCI_BAR0_REGION_INDEX).flags;
  Expect(((flags & VFIO_REGION_INFO_FLAG_MMAP) != 0) == mappable,
         "registers have FLAG_MMAP where memory has it");
  Expect(mappable || CannotMap(edu.fd, static_cast<uint64_t>(edu.bar), kPage, MAP_SHARED),
         "else mmap of edu's BAR0 is EINVAL");
  Expect(CannotMap(edu.container, 0, kPage, MAP_SHARED, ENODEV) ||
             CannotMap(edu.container, 0, kPage, MAP_SHARED),
         "mmap of a container is an error");
  Expect(CannotMap(edu.group, 0, kPage, MAP_SHARED, ENODEV) ||
             CannotMap(edu.group, 0, kPage, MAP_SHARED),
         "mmap of a group is an error");
  // Files that are not the emulator's are mapped as ever.
  const int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  void* file = mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, own, 0);
  Expect(file != MAP_FAILED && memcmp(file, "\177ELF", 4) == 0, "other files can be mapped");
}
