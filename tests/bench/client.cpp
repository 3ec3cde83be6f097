// Measures calls of a client; prints one number: nanoseconds a call, the median of many batches.
//   client null PATH                 an ioctl with a 32-byte payload on the do-nothing server
//   client ioctl BDF                 VFIO_DEVICE_GET_REGION_INFO, the same payload
//   client info BDF                  VFIO_DEVICE_GET_INFO
//   client config BDF                pread of 4 bytes of config space
//   client file PATH                 pread of 4 bytes of an ordinary file
//   client doorbell BDF              a store to a doorbell, until its device has answered in memory
//   client bell BDF                  a store to a doorbell, until its device hears of it (bell.c)
//   client echo -                    the same where a thread of the client answers
//   client map BDF LIVE BYTES        MAP_DMA + UNMAP_DMA of BYTES with LIVE mappings present
// A CPU number at the end pins the client.
#include "e2e/clients/client.hpp"

#include <sched.h>
#include <x86intrin.h>

#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "bench/measure.hpp"

namespace {

void Pin(const char* cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(std::atoi(cpu)), &set);
  Require(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

void Measure(int per_batch, const std::function<void()>& call) {
  std::printf("%.0f\n", MedianNanoseconds(per_batch, call));
}

std::string GroupOf(const std::string& bdf) {
  return std::filesystem::read_symlink("/sys/bus/pci/devices/" + bdf + "/iommu_group").filename();
}

void MeasureMap(const Device& device, uint64_t live, uint64_t size) {
  constexpr uint64_t kLiveFrom = uint64_t{1} << 33, kIova = uint64_t{1} << 32;
  const uint8_t* memory = MapMemory(size);
  for (uint64_t i = 1; i < live; ++i) device.Map(memory, kLiveFrom + 2 * i * kPage, kPage);
  Measure(500, [&] {
    device.Map(memory, kIova, size);
    device.Unmap(kIova, size);
  });
}

void MeasureAnswer(volatile uint32_t* bell, const volatile uint32_t* heard) {
  uint32_t word = 0;
  Measure(2000, [&] {
    *bell = ++word;
    while (*heard != word) {
    }
  });
}

// What two processors need at least to tell each other something.
[[noreturn]] void MeasureEcho() {
  static volatile uint32_t pages[2][kPage / 4];
  std::thread([] {
    for (;;) pages[1][0] = pages[0][0];
  }).detach();
  MeasureAnswer(pages[0], pages[1]);
  exit(0);
}

volatile uint32_t* MapPage(const Device& device, uint32_t bar) {
  void* at =
      mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, device.fd, device.Offset(bar));
  Require(at != MAP_FAILED, "mmap");
  return static_cast<volatile uint32_t*>(at);
}

double CyclesPerNanosecond() {
  const auto start = std::chrono::steady_clock::now();
  const uint64_t from = __rdtsc();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const uint64_t cycles = __rdtsc() - from;
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  return static_cast<double>(cycles) / took.count();
}

void MeasureBell(volatile uint32_t* bell, const volatile uint32_t* heard) {
  std::vector<uint32_t> cycles(100'000);
  for (uint32_t& one : cycles) {
    const auto now = static_cast<uint32_t>(__rdtsc());
    *bell = now;
    while (heard[1] != now) {
    }
    one = heard[0];
  }
  std::nth_element(cycles.begin(), cycles.begin() + 50'000, cycles.end());
  std::printf("%.0f\n", cycles[50'000] / CyclesPerNanosecond());
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
  if (words[0] == "echo") MeasureEcho();
  uint32_t word = 0;
  if (words[0] == "file") {
    const int fd = open(words[1].c_str(), O_RDONLY);
    Measure(2000, [&] { Require(pread(fd, &word, sizeof word, 0) == sizeof word, "pread"); });
    return 0;
  }
  const Device device(GroupOf(words[1]), words[1].c_str());
  if (words[0] == "config") {
    constexpr off_t kConfig = off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40;
    Measure(2000, [&] {
      Require(pread(device.fd, &word, sizeof word, kConfig) == sizeof word, "pread");
    });
    return 0;
  }
  if (map) {
    MeasureMap(device, std::stoull(words[2]), std::stoull(words[3]));
    return 0;
  }
  if (words[0] == "doorbell") {
    MeasureAnswer(MapPage(device, 0), MapPage(device, 2));
    return 0;
  }
  if (words[0] == "bell") {
    MeasureBell(MapPage(device, 0), MapPage(device, 2));
    return 0;
  }
  if (words[0] == "info") {
    vfio_device_info info{};
    info.argsz = sizeof info;
    Measure(2000, [&] { Require(ioctl(device.fd, VFIO_DEVICE_GET_INFO, &info) == 0, "GET_INFO"); });
    return 0;
  }
  vfio_region_info info{};
  info.argsz = sizeof info;
  Measure(2000, [&] {
    Require(ioctl(device.fd, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "GET_REGION_INFO");
  });
}
