// Many threads on one container and one device at the same time. Each has its own window of IOVAs
// and its own device descriptor, and checks every result; the things they share are counted at the
// end.
//
//   threads PCI-ADDRESS [ROUNDS]
#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kThreads = 32;
constexpr uint64_t kPage = 4096, kPages = 16, kWindow = 0x100000;  // 32 windows end below 256 MiB
constexpr uint32_t kId = 0x00, kLiveness = 0x04, kDmaSource = 0x80, kDmaTarget = 0x88,
                   kDmaCount = 0x90, kDmaCommand = 0x98, kDmaToMemory = 2, kBuffer = 0x40000,
                   kTransfer = 1024;

int container, group;
std::string address;
std::mutex dma_engine;  // the device has one

void Require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(std::string(what) + ", errno " + std::strerror(errno));
}

template <class Argument>
bool Fails(int error, int fd, unsigned long command, Argument argument) {
  return ioctl(fd, command, argument) == -1 && errno == error;
}

// ---- The calls ----

bool Map(uint64_t iova, const void* memory, uint64_t size, int error = 0) {
  vfio_iommu_type1_dma_map map{sizeof map, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                               reinterpret_cast<uintptr_t>(memory), iova, size};
  if (error) return Fails(error, container, VFIO_IOMMU_MAP_DMA, &map);
  return ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0;
}

bool Unmap(uint64_t iova, uint64_t size, uint64_t expected, int error = 0) {
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof unmap;
  unmap.iova = iova;
  unmap.size = size;
  if (error) return Fails(error, container, VFIO_IOMMU_UNMAP_DMA, &unmap);
  return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0 && unmap.size == expected;
}

uint64_t RegionOffset(int device, uint32_t index) {
  vfio_region_info info{};
  info.argsz = sizeof info;
  info.index = index;
  Require(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "GET_REGION_INFO");
  return info.offset;
}

uint32_t ReadRegister(int device, uint32_t at) {
  uint32_t value = 0;
  Require(pread(device, &value, 4, static_cast<off_t>(RegionOffset(device, 0) + at)) == 4,
          "read of a register");
  return value;
}
void WriteRegister(int device, uint32_t at, uint32_t value) {
  Require(pwrite(device, &value, 4, static_cast<off_t>(RegionOffset(device, 0) + at)) == 4,
          "write of a register");
}

// A value that shows whether it is whole.
uint32_t Telling(uint32_t number) { return (number ^ 0x5aa5) << 16 | number; }

// ---- What each thread does ----

void UseMappings(uint64_t iova, const uint8_t* memory) {
  for (uint64_t i = 0; i < kPages; i++)
    Require(Map(iova + i * kPage, memory + i * kPage, kPage), "MAP_DMA of a page");
  Require(Map(iova, memory, kPage, EEXIST), "a second MAP_DMA is EEXIST");
  Require(Unmap(iova, kPages * kPage, kPages * kPage), "UNMAP_DMA of all pages");
  Require(Unmap(iova, kPages * kPage, 0), "UNMAP_DMA of nothing");
  Require(Map(iova, memory, kPages * kPage), "MAP_DMA of all pages");
  Require(Unmap(iova, kPage, 0, EINVAL), "UNMAP_DMA of a part is EINVAL");
  Require(Unmap(iova, kPages * kPage, kPages * kPage), "UNMAP_DMA of the whole");
}

void UseDevice(int device, uint32_t thread, uint32_t round) {
  vfio_device_info info{};
  info.argsz = sizeof info;
  Require(ioctl(device, VFIO_DEVICE_GET_INFO, &info) == 0, "GET_INFO");
  Require(info.num_regions == VFIO_PCI_NUM_REGIONS && info.num_irqs == VFIO_PCI_NUM_IRQS,
          "GET_INFO's answer");

  uint8_t config[256]{};
  uint64_t offset = RegionOffset(device, VFIO_PCI_CONFIG_REGION_INDEX);
  Require(pread(device, config, sizeof config, static_cast<off_t>(offset)) == sizeof config,
          "read of config space");
  Require(config[0] == 0x34 && config[1] == 0x12 && config[2] == 0xe8 && config[3] == 0x11,
          "the ids");

  // The register is shared: it holds some thread's value, and never a mixture of two.
  Require((ReadRegister(device, kId) & 0xffff) == 0x00ed, "the device is an edu");
  WriteRegister(device, kLiveness, Telling(thread << 8 | (round & 0xff)));
  uint32_t value = ~ReadRegister(device, kLiveness);
  Require(value == Telling(value & 0xffff), "a whole value in a shared register");
}

void RunDma(int device, uint32_t source, uint32_t target, uint32_t direction) {
  WriteRegister(device, kDmaSource, source);
  WriteRegister(device, kDmaTarget, target);
  WriteRegister(device, kDmaCount, kTransfer);
  WriteRegister(device, kDmaCommand, direction | 1);
  for (int i = 0; i < 1000 && (ReadRegister(device, kDmaCommand) & 1); i++) usleep(10'000);
  Require((ReadRegister(device, kDmaCommand) & 1) == 0, "a transfer ends");
}

// The other threads map and unmap all the while: this window must not notice.
void UseDma(int device, uint64_t iova, uint8_t* memory, uint32_t thread) {
  std::lock_guard lock(dma_engine);
  std::memset(memory, static_cast<int>(thread + 1), kTransfer);
  std::memset(memory + kPage, 0, kPage);
  Require(Map(iova, memory, 2 * kPage), "MAP_DMA for a transfer");
  RunDma(device, static_cast<uint32_t>(iova), kBuffer, 0);
  RunDma(device, kBuffer, static_cast<uint32_t>(iova + kPage), kDmaToMemory);
  Require(Unmap(iova, 2 * kPage, 2 * kPage), "UNMAP_DMA after a transfer");
  Require(std::memcmp(memory, memory + kPage, kTransfer) == 0, "the bytes come back");
  Require(memory[kPage + kTransfer] == 0, "not one byte more comes back");
}

void SignalRequest(int device) {
  vfio_irq_set set{sizeof set, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
                   VFIO_PCI_REQ_IRQ_INDEX, 0, 1};
  Require(ioctl(device, VFIO_DEVICE_SET_IRQS, &set) == 0, "SET_IRQS as a loop-back");
}

void UseOwnContainer(uint64_t iova) {
  int own = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  Require(own >= 0, "open of another container");
  Require(ioctl(own, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1, "CHECK_EXTENSION");
  Require(Fails(EINVAL, own, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
          "SET_IOMMU without a group is EINVAL");
  Require(Fails(EINVAL, group, VFIO_GROUP_SET_CONTAINER, &own), "a second SET_CONTAINER is EINVAL");
  Require(Fails(EBUSY, group, VFIO_GROUP_UNSET_CONTAINER, 0), "UNSET_CONTAINER in use is EBUSY");
  Require(close(own) == 0, "close of a container");
  Require(Unmap(iova, kPages * kPage, 0), "UNMAP_DMA of nothing");
}

void RunThread(uint32_t thread, uint32_t rounds) {
  uint64_t iova = (thread + 1) * kWindow;
  auto* memory = static_cast<uint8_t*>(
      mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  Require(memory != MAP_FAILED, "mmap");
  for (uint32_t round = 0; round < rounds; round++) {
    int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address.c_str());
    Require(device >= 0, "GET_DEVICE_FD");
    UseMappings(iova, memory);
    UseDevice(device, thread, round);
    SignalRequest(device);
    UseOwnContainer(iova);
    if (round == 0 && thread % 4 == 0) UseDma(device, iova, memory, thread);
    Require(close(device) == 0, "close of a device");
  }
  munmap(memory, kPages * kPage);
}

// ---- The whole ----

std::string GroupPath() {
  char target[512];
  ssize_t length =
      readlink(("/sys/bus/pci/devices/" + address + "/iommu_group").c_str(), target, sizeof target);
  Require(length > 0, "finding the IOMMU group");
  std::string link(target, static_cast<size_t>(length));
  return "/dev/vfio/" + link.substr(link.rfind('/') + 1);
}

// This descriptor keeps the device open from beginning to end, and holds what the threads share.
int OpenShared(int requests) {
  container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  group = open(GroupPath().c_str(), O_RDWR | O_CLOEXEC);
  Require(container >= 0 && group >= 0, "open of container and group");
  Require(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "SET_CONTAINER");
  Require(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "SET_IOMMU");
  int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address.c_str());
  Require(device >= 0, "GET_DEVICE_FD");

  uint16_t memory_and_master = 6;
  uint64_t command = RegionOffset(device, VFIO_PCI_CONFIG_REGION_INDEX) + 4;
  Require(pwrite(device, &memory_and_master, 2, static_cast<off_t>(command)) == 2,
          "write of COMMAND");
  WriteRegister(device, kLiveness, Telling(0));

  uint32_t set[6] = {sizeof set,
                     VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                     VFIO_PCI_REQ_IRQ_INDEX,
                     0,
                     1,
                     static_cast<uint32_t>(requests)};
  Require(ioctl(device, VFIO_DEVICE_SET_IRQS, set) == 0, "SET_IRQS");
  return device;
}

int Run(uint32_t rounds) {
  int requests = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int device = OpenShared(requests);
  std::vector<std::string> failures(kThreads);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; i++)
    threads.emplace_back([i, rounds, &failures] {
      try {
        RunThread(i, rounds);
      } catch (const std::exception& error) {
        failures[i] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();

  int failed = 0;
  for (uint32_t i = 0; i < kThreads; i++)
    if (!failures[i].empty()) failed += printf("thread %u: %s\n", i, failures[i].c_str()) > 0;
  if (failed) return 1;
  eventfd_t count = 0;
  Require(eventfd_read(requests, &count) == 0 && count == kThreads * rounds,
          "every signal is counted");
  Require(Unmap(0, 64 * kWindow, 0), "no mapping is left");
  Require(close(device) == 0 && ioctl(group, VFIO_GROUP_UNSET_CONTAINER) == 0, "no device is open");
  printf("%d threads, %u rounds each: all results are right\n", kThreads, rounds);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s PCI-ADDRESS [ROUNDS]\n", argv[0]);
    return 1;
  }
  address = argv[1];
  try {
    return Run(argc > 2 ? static_cast<uint32_t>(atoi(argv[2])) : 20);
  } catch (const std::exception& error) {
    fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
