// Mappings that begin elsewhere in the device's memory than at the offset that mmap is given.
//
//   e2e_moved bar NODE        a device of 2010: a mapping begins with the BAR's first page
//   e2e_moved registers NODE  the same of edu's registers
//   e2e_moved regions         a device of August 2011: each region has a descriptor of its own
//   e2e_moved untraced NODE   what nobody can move is EINVAL
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr unsigned long kDomainSet = 0x40043b6b;
constexpr unsigned kShift = 32;  // of A6
constexpr size_t kPage = 4096;

void Require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

uint32_t* MapAt(int fd, uint64_t offset, size_t size) {
  void* at =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
  return at == MAP_FAILED ? nullptr : static_cast<uint32_t*>(at);
}

int OpenDevice(const char* node) {
  const int device = open(node, O_RDWR);
  const int domain = open("/dev/uiommu", O_RDONLY);
  Require(device >= 0 && domain >= 0, node);
  Require(ioctl(device, kDomainSet, &domain) == 0, "DOMAIN_SET");
  const uint16_t memory = 2;
  Require(pwrite(device, &memory, 2, (off_t{15} << kShift) + 4) == 2, "COMMAND");
  return device;
}

// What the kernel leaves in the register of the call's last argument.
uint64_t OffsetAfterwards(int fd, uint64_t offset) {
  register long flags asm("r10") = MAP_SHARED;
  register long file asm("r8") = fd;
  register uint64_t last asm("r9") = offset;
  long result = SYS_mmap;
  asm volatile("syscall"
               : "+a"(result), "+r"(last)
               : "D"(0), "S"(kPage), "d"(PROT_READ), "r"(flags), "r"(file)
               : "rcx", "r11", "memory");
  Require(result > 0, "mmap");
  return last;
}

std::atomic<int> signals{0};

// Signals come at any moment of a call, and handlers make calls of their own.
void TroubleWithSignals() {
  struct sigaction action {};
  action.sa_handler = [](int) {
    const int kept = errno;
    getppid();
    ++signals;
    errno = kept;
  };
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often{{0, 200}, {0, 200}};
  setitimer(ITIMER_REAL, &often, nullptr);
}

// Mappings of `size` bytes at each page of BAR2 show its first pages, whatever happens meanwhile.
void Bar(const char* node) {
  const int device = OpenDevice(node);
  const uint64_t bar = uint64_t{2} << kShift;
  constexpr size_t kPages = 16;
  uint32_t* whole = MapAt(device, bar, kPages * kPage);
  Require(whole != nullptr, "mmap of BAR2");
  Require(getrandom(whole, kPages * kPage, 0) > 0, "getrandom");
  Require(OffsetAfterwards(device, bar + 3 * kPage) == bar + 3 * kPage,
          "the register is another's");
  TroubleWithSignals();
  const auto many = [&] {
    for (unsigned i = 0; i < 400; ++i) {
      const size_t pages = 1 + i % kPages;
      uint32_t* part = MapAt(device, bar + (1 + i % (kPages - 1)) * kPage, pages * kPage);
      Require(part != nullptr, "mmap at a page of BAR2");
      Require(memcmp(part, whole, pages * kPage) == 0, "it begins elsewhere");
      munmap(part, pages * kPage);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(many);
  for (std::thread& thread : threads) thread.join();
  Require(signals > 10, "hardly any signal came");
  Require(MapAt(device, bar + kPage, (kPages + 1) * kPage) == nullptr && errno == EINVAL,
          "more than the BAR has");
}

void Registers(const char* node) {
  const int device = OpenDevice(node);
  volatile uint32_t* registers = MapAt(device, 5 * kPage, kPage);
  Require(registers != nullptr, "mmap of registers");
  Require(registers[0] == 0x010000ed, "edu's identification");
  registers[1] = 0x12345678;
  Require(registers[1] == ~0x12345678u, "edu's liveness check");
}

void Regions() {
  constexpr unsigned long kDeviceFd = 0x40013b26, kMmioFd = 0x40043b3c;
  const int group = open("/dev/vfio/3", O_RDWR);
  Require(group >= 0, "group 3");
  const int device = ioctl(group, kDeviceFd, "fe000000.copier");
  Require(device >= 0, "device");
  int index = 1;
  const int region = ioctl(device, kMmioFd, &index);
  Require(region >= 0, "region 1");
  std::vector<uint32_t> bytes(2 * kPage / 4);
  Require(getrandom(bytes.data(), 2 * kPage, 0) == 2 * kPage, "getrandom");
  for (size_t i = 0; i < bytes.size(); ++i)
    Require(pwrite(region, &bytes[i], 4, static_cast<off_t>(4 * i)) == 4, "pwrite");
  uint32_t* both = MapAt(region, 0, 2 * kPage);
  uint32_t* second = MapAt(region, kPage, kPage);
  Require(both != nullptr && second != nullptr, "mmap");
  Require(memcmp(both, bytes.data(), 2 * kPage) == 0, "another region");
  Require(memcmp(second, bytes.data() + kPage / 4, kPage) == 0, "another page");
  Require(MapAt(region, uint64_t{1} << 40, kPage) == nullptr && errno == EINVAL,
          "a place that the region has not");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "regions") {
    Regions();
  } else if (argc == 3 && what == "bar") {
    Bar(argv[2]);
  } else if (argc == 3 && what == "registers") {
    Registers(argv[2]);
  } else if (argc == 3 && what == "untraced") {
    const int device = OpenDevice(argv[2]);
    const uint64_t bar = uint64_t{2} << kShift;
    Require(MapAt(device, bar, kPage) != nullptr, "mmap of BAR2");
    Require(MapAt(device, bar + kPage, kPage) == nullptr && errno == EINVAL, "mmap at a page");
  } else {
    return 2;
  }
  puts("as it should be");
  return 0;
}
