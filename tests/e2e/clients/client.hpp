// What the clients of the end-to-end tests have in common: VFIO from the outside.
#pragma once
#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

constexpr uint64_t kPage = 4096;
constexpr const char* kEdu = "0000:01:00.0";

[[noreturn]] inline void Fail(const std::string& what) {
  printf("%s: %s (%s)\n", what.c_str(), strerror(errno), strerrorname_np(errno));
  fflush(stdout);
  _exit(1);
}
inline void Require(bool holds, const std::string& what) {
  if (!holds) Fail(what);
}
// A finding that has nothing to do with errno.
inline void Expect(bool holds, const std::string& what) {
  if (holds) return;
  printf("does not hold: %s\n", what.c_str());
  fflush(stdout);
  _exit(1);
}

using Clock = std::chrono::steady_clock;
inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline int OpenNode(const std::string& name) {
  return open(("/dev/vfio/" + name).c_str(), O_RDWR | O_CLOEXEC);
}

// Anonymous memory, or what `fd` has.
inline uint8_t* MapMemory(uint64_t size, int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
  Require(memory != MAP_FAILED, "mmap");
  return static_cast<uint8_t*>(memory);
}

// One device of one group in a container of its own.
struct Device {
  int container = -1, group = -1, fd = -1;

  Device(const std::string& group_number, const char* address) {
    container = OpenNode("vfio");
    Require(container >= 0, "open of the container");
    group = OpenNode(group_number);
    Require(group >= 0, "open of the group");
    Require(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "SET_CONTAINER");
    Require(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "SET_IOMMU");
    fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
    Require(fd >= 0, "GET_DEVICE_FD");
    const uint16_t memory_and_master = 6;
    Require(pwrite(fd, &memory_and_master, 2, Offset(VFIO_PCI_CONFIG_REGION_INDEX) + 4) == 2,
            "write of COMMAND");
  }
  ~Device() {
    close(fd);
    close(group);
    close(container);
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  vfio_region_info Region(uint32_t index) const {
    vfio_region_info info{};
    info.argsz = sizeof info;
    info.index = index;
    Require(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "GET_REGION_INFO");
    return info;
  }
  off_t Offset(uint32_t index) const { return static_cast<off_t>(Region(index).offset); }

  int TryMap(const void* memory, uint64_t iova, uint64_t size) const {
    vfio_iommu_type1_dma_map map{sizeof map, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                 reinterpret_cast<uintptr_t>(memory), iova, size};
    return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
  }
  void Map(const void* memory, uint64_t iova, uint64_t size) const {
    Require(TryMap(memory, iova, size) == 0, "MAP_DMA");
  }
  int TrySetTrigger(int eventfd) const {
    alignas(vfio_irq_set) char bytes[sizeof(vfio_irq_set) + sizeof eventfd];
    const vfio_irq_set set{sizeof bytes, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                           VFIO_PCI_MSI_IRQ_INDEX, 0, 1};
    memcpy(bytes, &set, sizeof set);
    memcpy(bytes + sizeof set, &eventfd, sizeof eventfd);
    return ioctl(fd, VFIO_DEVICE_SET_IRQS, bytes);
  }
  void Unmap(uint64_t iova, uint64_t size) const {
    vfio_iommu_type1_dma_unmap unmap{};
    unmap.argsz = sizeof unmap;
    unmap.iova = iova;
    unmap.size = size;
    Require(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0, "UNMAP_DMA");
  }
};

// The edu device: registers of BAR0 and its DMA engine, which takes 100 ms for a transfer.
struct Edu : Device {
  static constexpr uint32_t kLiveness = 0x04, kSource = 0x80, kTarget = 0x88, kCount = 0x90,
                            kCommand = 0x98, kBuffer = 0x40000, kToMemory = 2;
  off_t bar;

  Edu() : Device("1", kEdu), bar(Offset(VFIO_PCI_BAR0_REGION_INDEX)) {}

  uint32_t Read(uint32_t at) const {
    uint32_t value = 0;
    Require(pread(fd, &value, 4, bar + at) == 4, "read of a register");
    return value;
  }
  void Write(uint32_t at, uint32_t value) const {
    Require(pwrite(fd, &value, 4, bar + at) == 4, "write of a register");
  }

  void StartDma(uint32_t source, uint32_t target, uint32_t count, uint32_t direction) const {
    Write(kSource, source);
    Write(kTarget, target);
    Write(kCount, count);
    Write(kCommand, direction | 1);
  }
  void FinishDma() const {
    for (int i = 0; i < 2000 && (Read(kCommand) & 1); i++) usleep(5000);
    Expect((Read(kCommand) & 1) == 0, "a transfer ends");
  }
  void ToDevice(uint32_t iova, uint32_t count) const {
    StartDma(iova, kBuffer, count, 0);
    FinishDma();
  }
  void ToMemory(uint32_t iova, uint32_t count) const {
    StartDma(kBuffer, iova, count, kToMemory);
    FinishDma();
  }
};
