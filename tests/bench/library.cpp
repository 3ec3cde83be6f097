// Measures calls of the library; prints, for each, its name and nanoseconds: the median of many
// batches.
#include <linux/vfio.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <functional>

#include <vfiolab/emulator.hpp>

#include "bench/measure.hpp"

namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  perror(what);
  exit(1);
}

void Measure(const char* name, int per_batch, const std::function<void()>& call) {
  printf("%s %.1f\n", name, MedianNanoseconds(per_batch, call));
}

// A fault whose handler does nothing but go on: what any trap costs at least.
void* bare = nullptr;
void OnBareFault(int, siginfo_t*, void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP] += 2;  // mov (%rax), %eax
}

}  // namespace

int main() {
  vfiolab::Emulator kernel({{{"0000:01:00.0", "edu"}}, {{1, {"0000:01:00.0"}}}});
  int container = kernel.Open("/dev/vfio/vfio");
  const int group = kernel.Open("/dev/vfio/1");
  Require(kernel.Ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "SET_CONTAINER");
  Require(kernel.Ioctl(container, VFIO_SET_IOMMU, reinterpret_cast<void*>(VFIO_TYPE1v2_IOMMU)) == 0,
          "SET_IOMMU");
  const int device = kernel.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0");
  Require(device >= 0, "GET_DEVICE_FD");
  const off_t config = off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40;
  std::uint32_t word = 6;
  kernel.Pwrite(device, &word, 2, config + 4);

  vfio_device_info info{};
  info.argsz = sizeof info;
  Measure("info", 20000,
          [&] { Require(kernel.Ioctl(device, VFIO_DEVICE_GET_INFO, &info) == 0, "GET_INFO"); });
  Measure("config", 20000,
          [&] { Require(kernel.Pread(device, &word, 4, config) == 4, "config space"); });
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  vfio_iommu_type1_dma_map map{sizeof map, 3, reinterpret_cast<std::uint64_t>(page), 0x100000,
                               4096};
  vfio_iommu_type1_dma_unmap unmap{};
  Measure("map", 5000, [&] {
    Require(kernel.Ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0, "MAP_DMA");
    unmap.argsz = sizeof unmap, unmap.iova = 0x100000, unmap.size = 4096;
    Require(kernel.Ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0, "UNMAP_DMA");
  });
  void* mapped = kernel.Mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
  Require(mapped != MAP_FAILED, "mmap");
  Measure("trap", 2000,
          [&] { Require(*static_cast<volatile std::uint32_t*>(mapped) == 0x010000ed, "a load"); });
  bare = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action {};
  action.sa_sigaction = OnBareFault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
  Measure("bare-fault", 2000, [] { asm volatile("mov (%%rax), %%eax" : : "a"(bare)); });
  return 0;
}
