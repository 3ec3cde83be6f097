// Measures calls of a client; prints one number: nanoseconds a call, the median of many batches.
//   client null PATH                 an ioctl with a 32-byte payload on the do-nothing server
//   client ioctl BDF                 VFIO_DEVICE_GET_REGION_INFO, the same payload
//   client map BDF LIVE BYTES        MAP_DMA + UNMAP_DMA of BYTES with LIVE mappings present
// A CPU number at the end pins the client.
#include <fcntl.h>
#include <linux/vfio.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace {

void Require(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

void Pin(const char* cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(std::atoi(cpu)), &set);
  Require(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

void Measure(int per_batch, const std::function<void()>& call) {
  constexpr int kBatches = 41;
  std::vector<double> batches;
  for (int batch = -2; batch < kBatches; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < per_batch; ++i) call();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    if (batch >= 0) batches.push_back(took.count() / per_batch);
  }
  std::nth_element(batches.begin(), batches.begin() + kBatches / 2, batches.end());
  std::printf("%.0f\n", batches[kBatches / 2]);
}

struct Device {
  int container, group, device;

  explicit Device(const std::string& bdf) {
    const std::string link = "/sys/bus/pci/devices/" + bdf + "/iommu_group";
    const std::string id = std::filesystem::read_symlink(link).filename();
    container = open("/dev/vfio/vfio", O_RDWR);
    group = open(("/dev/vfio/" + id).c_str(), O_RDWR);
    Require(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0, "SET_CONTAINER");
    Require(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "SET_IOMMU");
    device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf.c_str());
    Require(device >= 0, "GET_DEVICE_FD");
  }
  void Map(__u64 address, __u64 iova, __u64 size) const {
    vfio_iommu_type1_dma_map map{sizeof map, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                 address, iova, size};
    Require(ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0, "MAP_DMA");
  }
  void Unmap(__u64 iova, __u64 size) const {
    vfio_iommu_type1_dma_unmap unmap{};
    unmap.argsz = sizeof unmap;
    unmap.iova = iova;
    unmap.size = size;
    Require(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0, "UNMAP_DMA");
  }
};

void MeasureMap(const Device& device, __u64 live, __u64 size) {
  constexpr __u64 kPage = 4096, kLiveFrom = __u64{1} << 33, kIova = __u64{1} << 32;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Require(memory != MAP_FAILED, "mmap");
  const auto address = reinterpret_cast<__u64>(memory);
  for (__u64 i = 1; i < live; ++i) device.Map(address, kLiveFrom + 2 * i * kPage, kPage);
  Measure(500, [&] {
    device.Map(address, kIova, size);
    device.Unmap(kIova, size);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  Require(words.size() >= 2, "arguments");
  const bool map = words[0] == "map";
  if (const std::size_t pin = map ? 4 : 2; words.size() > pin) Pin(argv[pin + 1]);
  if (words[0] == "null") {
    const int fd = open(words[1].c_str(), O_RDWR);
    vfio_region_info info{};
    Measure(2000, [&] { Require(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "ioctl"); });
    return 0;
  }
  const Device device(words[1]);
  if (map) {
    MeasureMap(device, std::stoull(words[2]), std::stoull(words[3]));
    return 0;
  }
  vfio_region_info info{};
  info.argsz = sizeof info;
  Measure(2000, [&] {
    Require(ioctl(device.device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "GET_REGION_INFO");
  });
}
