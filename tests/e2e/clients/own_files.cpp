// Arguments and DMA in memory that is the emulator's own: to reach it, the daemon needs itself.
//
//   e2e_own_files argument   an ioctl's argument is in a mapped file of the emulated /sys
//   e2e_own_files peer       edu's DMA goes to the mapped BAR2 of pci-testdev
#include "client.hpp"

static void Argument() {
  const int group = OpenNode("1");
  Require(group >= 0, "open of the group");
  for (const char* name : {"vendor", "device", "uevent", "class"}) {
    const std::string path = std::string("/sys/bus/pci/devices/0000:01:00.0/") + name;
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    Require(file >= 0, "open of " + path);
    void* mapped = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (mapped == MAP_FAILED) {
      printf("%s cannot be mapped: %s\n", name, strerror(errno));
      continue;
    }
    const auto start = Clock::now();
    const int result = ioctl(group, VFIO_GROUP_GET_STATUS, mapped);
    printf("%s: %s after %.3f s\n", name, result == 0 ? "success" : strerrorname_np(errno),
           SecondsSince(start));
    Expect(SecondsSince(start) < 1, "the call does not take long");
    // The file begins with some text: a large argsz.
    Expect(result == 0, "the call finds its argument");
    vfio_group_status status{sizeof status, 0};
    Expect(ioctl(group, VFIO_GROUP_GET_STATUS, &status) == 0, "the next call is as ever");
  }
}

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
  if (!(bar2.flags & VFIO_REGION_INFO_FLAG_MMAP)) {
    printf("BAR2 cannot be mapped\n");
    exit(77);
  }
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
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "argument")
    Argument();
  else if (what == "peer")
    Peer();
  else
    return 2;
}
