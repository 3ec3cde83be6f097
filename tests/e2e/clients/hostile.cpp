// What no driver should do. The client always ends with 0; how the daemon is afterwards is for the
// caller to see.
//
//   e2e_hostile storm           many threads map, unmap, open and ask until killed
//   e2e_hostile exec            forks and executes in the middle of calls, descriptors open
//   e2e_hostile opens COUNT     that many opens of the container at a time
//   e2e_hostile pointers        bad pointers in every ioctl
//   e2e_hostile fuzz ROUNDS     random ioctls with random arguments
//   e2e_hostile devices [COUNT]     takes a device's descriptor, again and again
//   e2e_hostile regions         reads and writes of every size everywhere
#include <sys/resource.h>
#include <sys/wait.h>

#include <random>
#include <thread>
#include <vector>

#include "client.hpp"

static const unsigned long kCommands[] = {VFIO_GET_API_VERSION,
                                          VFIO_CHECK_EXTENSION,
                                          VFIO_SET_IOMMU,
                                          VFIO_GROUP_GET_STATUS,
                                          VFIO_GROUP_SET_CONTAINER,
                                          VFIO_GROUP_UNSET_CONTAINER,
                                          VFIO_GROUP_GET_DEVICE_FD,
                                          VFIO_DEVICE_GET_INFO,
                                          VFIO_DEVICE_GET_REGION_INFO,
                                          VFIO_DEVICE_GET_IRQ_INFO,
                                          VFIO_DEVICE_SET_IRQS,
                                          VFIO_DEVICE_RESET,
                                          VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
                                          VFIO_DEVICE_PCI_HOT_RESET,
                                          VFIO_DEVICE_IOEVENTFD,
                                          VFIO_DEVICE_FEATURE,
                                          VFIO_IOMMU_GET_INFO,
                                          VFIO_IOMMU_MAP_DMA,
                                          VFIO_IOMMU_UNMAP_DMA,
                                          VFIO_IOMMU_DIRTY_PAGES};

static void Hammer(const Edu& edu, unsigned number, Clock::time_point end) {
  uint8_t* memory = MapMemory(16 * kPage);
  const uint64_t iova = (number + 1) * 0x100000;
  while (Clock::now() < end) {
    for (uint64_t i = 0; i < 16; i++) edu.TryMap(memory + i * kPage, iova + i * kPage, kPage);
    vfio_iommu_type1_dma_unmap unmap{sizeof unmap, 0, iova, 16 * kPage};
    ioctl(edu.container, VFIO_IOMMU_UNMAP_DMA, &unmap);
    vfio_group_status status{sizeof status, 0};
    ioctl(edu.group, VFIO_GROUP_GET_STATUS, &status);
    const int fd = ioctl(edu.group, VFIO_GROUP_GET_DEVICE_FD, kEdu);
    if (fd >= 0) close(fd);
    uint32_t value = 0;
    if (pread(edu.fd, &value, 4, edu.bar) != 4) _exit(0);
  }
}

static void Storm(double seconds) {
  Edu edu;
  printf("storm\n");
  fflush(stdout);
  // One transfer always under way.
  edu.Map(MapMemory(kPage), 0x80000000, kPage);
  const auto end = Clock::now() + std::chrono::milliseconds(static_cast<int>(seconds * 1000));
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 6; i++) threads.emplace_back([&edu, i, end] { Hammer(edu, i, end); });
  while (Clock::now() < end) {
    edu.StartDma(0x80000000, Edu::kBuffer, 512, 0);
    usleep(20'000);
  }
  for (std::thread& thread : threads) thread.join();
}

static void Devices(unsigned long count) {
  Edu edu;
  for (unsigned long i = 0; i < count; i++) {
    const int fd = ioctl(edu.group, VFIO_GROUP_GET_DEVICE_FD, kEdu);
    Require(fd >= 0, "VFIO_GROUP_GET_DEVICE_FD");
    close(fd);
  }
}

static void Exec() {
  Edu edu;
  for (int fd : {edu.container, edu.group, edu.fd}) Require(fcntl(fd, F_SETFD, 0) == 0, "F_SETFD");
  edu.Map(MapMemory(kPage), 0x80000000, kPage);
  const auto end = Clock::now() + std::chrono::seconds(2);
  for (unsigned i = 0; i < 4; i++) std::thread([&edu, i, end] { Hammer(edu, i, end); }).detach();
  for (int i = 0; i < 40; i++) {
    edu.StartDma(0x80000000, Edu::kBuffer, 512, 0);
    if (fork() == 0) {
      execl("/bin/true", "true", nullptr);
      _exit(0);
    }
    if (fork() == 0) {
      vfio_group_status status{sizeof status, 0};
      for (int n = 0; n < 20; n++) ioctl(edu.group, VFIO_GROUP_GET_STATUS, &status);
      execl("/bin/sleep", "sleep", "0.2", nullptr);
      _exit(0);
    }
    usleep(10'000);
  }
  // The image ends in the middle of the threads' calls; the descriptors go on.
  execl("/bin/sh", "sh", "-c", "sleep 0.5; exit 0", nullptr);
  Fail("exec");
}

static void Opens(unsigned long count) {
  rlimit limit{};
  Require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  std::vector<int> opened;
  while (opened.size() < count) {
    const int fd = OpenNode("vfio");
    if (fd < 0) break;
    opened.push_back(fd);
  }
  printf("%zu opens at a time\n", opened.size());
  Expect(opened.size() == count || opened.size() + 64 > limit.rlim_cur,
         "as many opens as the limit of descriptors allows");
  for (std::size_t i = 0; i < opened.size(); i += 37)
    Expect(ioctl(opened[i], VFIO_GET_API_VERSION) == 0, "each of them answers");
  for (int fd : opened) close(fd);
  for (unsigned long i = 0; i < count; i++) {
    const int fd = OpenNode("vfio");
    Require(fd >= 0, "open");
    close(fd);
  }
}

static void Pointers() {
  Edu edu;
  auto* border = MapMemory(2 * kPage);
  Require(munmap(border + kPage, kPage) == 0, "munmap");
  auto* read_only = MapMemory(kPage);
  *reinterpret_cast<uint32_t*>(read_only) = 64;  // argsz
  Require(mprotect(read_only, kPage, PROT_READ) == 0, "mprotect");
  const uintptr_t end = reinterpret_cast<uintptr_t>(border) + kPage;
  std::vector<uintptr_t> bad{0,
                             1,
                             7,
                             0xdead0000,
                             0x7fffffffe000,
                             0x7ffffffff000,
                             0x800000000000,
                             0xffff888000000000,
                             ~uintptr_t{0},
                             ~uintptr_t{0} - 3,
                             reinterpret_cast<uintptr_t>(read_only)};
  for (uintptr_t inside : {1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 20, 23, 24, 32, 40})
    bad.push_back(end - inside);
  // An argsz beyond the border in front of it.
  for (uint32_t argsz : {4u, 8u, 64u, 4096u, 0x7fffffffu, 0xffffffffu})
    for (uintptr_t inside : {4, 8, 16}) {
      *reinterpret_cast<uint32_t*>(end - inside) = argsz;
      for (unsigned long command : kCommands)
        for (int fd : {edu.container, edu.group, edu.fd}) {
          if (command == VFIO_SET_IOMMU) continue;
          ioctl(fd, command, end - inside);
        }
    }
  unsigned long calls = 0;
  for (unsigned long command : kCommands)
    for (uintptr_t pointer : bad)
      for (int fd : {edu.container, edu.group, edu.fd}) {
        errno = 0;
        const int result = ioctl(fd, command, pointer);
        const bool scalar = command == VFIO_GET_API_VERSION || command == VFIO_CHECK_EXTENSION ||
                            command == VFIO_DEVICE_RESET || command == VFIO_SET_IOMMU ||
                            command == VFIO_GROUP_UNSET_CONTAINER;
        const bool fits = pointer < end && pointer >= end - 64;  // for the small ones
        Expect(scalar || fits || result == -1, "an ioctl with a bad pointer fails");
        calls++;
      }
  for (uintptr_t pointer : bad) {
    const ssize_t count = pread(edu.fd, reinterpret_cast<void*>(pointer), 64,
                                edu.Offset(VFIO_PCI_CONFIG_REGION_INDEX));
    Expect(count < 64, "pread to a bad pointer does not succeed");
  }
  printf("%lu calls\n", calls);
}

static void Fuzz(unsigned long rounds) {
  Edu edu;
  std::mt19937_64 random(20240229);
  const auto pick = [&](uint64_t below) { return random() % below; };
  auto* memory = MapMemory(64 * kPage);
  const uint64_t interesting[] = {0,
                                  1,
                                  4,
                                  8,
                                  16,
                                  24,
                                  32,
                                  64,
                                  4095,
                                  4096,
                                  0x100000,
                                  0x7fffffff,
                                  0x80000000,
                                  0xffffffff,
                                  0x7fffffffffffffff,
                                  0xfffffffffffff000,
                                  0xffffffffffffffff,
                                  reinterpret_cast<uintptr_t>(memory)};
  for (unsigned long i = 0; i < rounds; i++) {
    auto* words = reinterpret_cast<uint32_t*>(memory);
    for (int w = 0; w < 32; w++)
      words[w] = static_cast<uint32_t>(pick(3) == 0 ? random() : interesting[pick(18)]);
    words[0] = static_cast<uint32_t>(pick(4) == 0 ? interesting[pick(18)] : pick(80));
    const int fds[] = {edu.container, edu.group, edu.fd, -1, 0};
    const int fd = fds[pick(16) == 0 ? 3 + pick(2) : pick(3)];
    unsigned long command = kCommands[pick(std::size(kCommands))];
    if (pick(20) == 0) command = random() & 0xffffffff;
    if (command == TIOCSTI) continue;
    const uintptr_t argument =
        pick(8) == 0 ? interesting[pick(18)] : reinterpret_cast<uintptr_t>(memory) + 4 * pick(3);
    if (fd == 0) continue;
    const int result = ioctl(fd, command, argument);
    if (command == VFIO_GROUP_GET_DEVICE_FD && result > 2) close(result);
  }
  printf("%lu calls\n", rounds);
}

static void Regions() {
  Edu edu;
  auto* memory = MapMemory(2 * 1024 * 1024);
  unsigned long calls = 0;
  for (uint64_t index = 0; index < 12; index++)
    for (uint64_t at : {0, 1, 3, 4, 0x40, 0x7c, 0x80, 0xfc, 0xff, 0x100, 0xfff, 0x1000, 0xfffff,
                        0x100000, 0x40000000})
      for (uint64_t size : {0, 1, 2, 3, 4, 5, 8, 16, 255, 256, 4096, 65537, 2 * 1024 * 1024}) {
        const off_t offset = static_cast<off_t>(index << 40 | at);
        (void)!pread(edu.fd, memory, size, offset);
        // Not to the registers that start something.
        if (index > 0) (void)!pwrite(edu.fd, memory, size, offset);
        calls += 2;
      }
  for (off_t offset : {static_cast<off_t>(-1), static_cast<off_t>(1) << 62, INT64_MAX})
    (void)!pread(edu.fd, memory, 64, offset);
  printf("%lu calls\n", calls);
}

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const unsigned long number = argc > 2 ? strtoul(argv[2], nullptr, 0) : 0;
  if (what == "storm")
    Storm(number > 0 ? static_cast<double>(number) : 60);
  else if (what == "exec")
    Exec();
  else if (what == "opens")
    Opens(number > 0 ? number : 10000);
  else if (what == "devices")
    Devices(number > 0 ? number : 30000);
  else if (what == "pointers")
    Pointers();
  else if (what == "fuzz")
    Fuzz(number > 0 ? number : 20000);
  else if (what == "regions")
    Regions();
  else
    return 2;
}
