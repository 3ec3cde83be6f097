// What the library does beyond what the kernel's interface says.
#include <linux/capability.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>

#include <catch2/catch.hpp>
#include <vfiolab/emulator.hpp>

namespace {

using namespace std::chrono_literals;
constexpr off_t kConfig = off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40;
constexpr std::size_t kPage = 4096;

vfiolab::Topology Machine() {
  vfiolab::Topology machine;
  machine.devices = {{"0000:01:00.0", "edu", {{"msix_vectors", 2}}},
                     {"0000:02:00.0", "pci-testdev", {{"membar", 65536}}}};
  machine.groups = {{1, {"0000:01:00.0"}}, {2, {"0000:02:00.0"}}};
  return machine;
}

// Both devices, in one container, with memory and bus mastering on.
struct Lab {
  vfiolab::Emulator kernel{Machine()};
  int container = kernel.Open("/dev/vfio/vfio");
  int edu = OpenDevice("/dev/vfio/1", "0000:01:00.0", true);
  int testdev = OpenDevice("/dev/vfio/2", "0000:02:00.0", false);

  int OpenDevice(const char* node, const char* name, bool first) {
    const int group = kernel.Open(node);
    REQUIRE(kernel.Ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
    if (first)
      REQUIRE(kernel.Ioctl(container, VFIO_SET_IOMMU,
                           reinterpret_cast<void*>(VFIO_TYPE1v2_IOMMU)) == 0);
    const int device = kernel.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
    REQUIRE(device >= 0);
    const std::uint16_t on = 6;
    REQUIRE(kernel.Pwrite(device, &on, 2, kConfig + 4) == 2);
    return device;
  }
  int Map(void* memory, std::uint64_t iova, std::size_t size, unsigned flags = 3) {
    vfio_iommu_type1_dma_map map{sizeof map, flags, reinterpret_cast<std::uint64_t>(memory), iova,
                                 size};
    return kernel.Ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
  }
  void Store(unsigned at, std::uint32_t value) { kernel.Pwrite(edu, &value, 4, at); }
  // edu moves `size` bytes between its buffer and `iova`.
  void Dma(std::uint32_t iova, std::uint32_t size, bool to_memory) {
    constexpr std::uint32_t kBuffer = 0x40000;
    Store(0x80, to_memory ? kBuffer : iova);
    Store(0x88, to_memory ? iova : kBuffer);
    Store(0x90, size);
    Store(0x98, to_memory ? 3 : 1);
    kernel.Advance(1s);
  }
};

// As long as this lives the process lacks a capability.
class Capabilities {
 public:
  explicit Capabilities(unsigned dropped) {
    REQUIRE(syscall(SYS_capget, &header_, before_) == 0);
    __user_cap_data_struct now[2] = {before_[0], before_[1]};
    now[0].effective &= ~(1u << dropped);
    REQUIRE(syscall(SYS_capset, &header_, now) == 0);
  }
  ~Capabilities() { syscall(SYS_capset, &header_, before_); }

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2] = {};
};

char* Pages(std::size_t count, int protection = PROT_READ | PROT_WRITE) {
  void* pages = mmap(nullptr, count * kPage, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(pages != MAP_FAILED);
  return static_cast<char*>(pages);
}

}  // namespace

TEST_CASE("a device's DMA moves random bytes of this process") {
  Lab lab;
  std::mt19937 random(std::random_device{}());
  char* memory = Pages(2);
  for (std::size_t i = 0; i < kPage; ++i) memory[i] = static_cast<char>(random());
  REQUIRE(lab.Map(memory, 0x100000, 2 * kPage) == 0);
  lab.Dma(0x100000, 2048, false);
  lab.Dma(0x101000, 2048, true);
  CHECK(std::memcmp(memory, memory + kPage, 2048) == 0);
  CHECK(lab.kernel.TakeFaults().empty());
}

TEST_CASE("a DMA to memory that is not mapped, or that is gone, is a fault, and no crash") {
  Lab lab;
  char* memory = Pages(1);
  REQUIRE(lab.Map(memory, 0x100000, kPage) == 0);
  munmap(memory, kPage);
  lab.Dma(0x100000, 64, true);
  lab.Dma(0x200000, 64, false);
  const auto faults = lab.kernel.TakeFaults();
  REQUIRE(faults.size() == 2);
  CHECK(faults[0].iova == 0x100000);
  CHECK(faults[0].is_write == 1);
  CHECK(std::string(faults[1].reason) == "the IOVA is not mapped");
  CHECK(std::string(faults[1].device) == "0000:01:00.0");
  CHECK(lab.kernel.TakeFaults().empty());
}

TEST_CASE("memory that cannot be reached is EFAULT to MAP_DMA, few pages or many") {
  Lab lab;
  for (const std::size_t pages : {1, 16, 17, 64}) {
    char* read_only = Pages(pages, PROT_READ);
    CHECK(lab.Map(read_only, 0x1000000, pages * kPage) == -1);
    CHECK(errno == EFAULT);
    CHECK(lab.Map(read_only, 0x1000000, pages * kPage, VFIO_DMA_MAP_FLAG_READ) == 0);
    vfio_iommu_type1_dma_unmap unmap{};
    unmap.argsz = sizeof unmap;
    unmap.iova = 0x1000000;
    unmap.size = pages * kPage;
    REQUIRE(lab.kernel.Ioctl(lab.container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0);
    munmap(read_only, pages * kPage);
    CHECK(lab.Map(read_only, 0x1000000, pages * kPage, VFIO_DMA_MAP_FLAG_READ) == -1);
    CHECK(errno == EFAULT);
  }
}

TEST_CASE("a bad pointer is EFAULT") {
  Lab lab;
  auto* nowhere = reinterpret_cast<void*>(8);
  CHECK(lab.kernel.Ioctl(lab.edu, VFIO_DEVICE_GET_INFO, nowhere) == -1);
  CHECK(errno == EFAULT);
  CHECK(lab.kernel.Pread(lab.edu, nowhere, 4, kConfig) == -1);
  CHECK(errno == EFAULT);
  char* page = Pages(2);
  mprotect(page + kPage, kPage, PROT_NONE);
  CHECK(lab.kernel.Pread(lab.edu, page + kPage - 2, 4, kConfig) == -1);
  CHECK(errno == EFAULT);
}

TEST_CASE("interrupts signal eventfds of this process") {
  Lab lab;
  const int eventfd = ::eventfd(0, 0);
  const std::uint32_t irqs[] = {24,
                                VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                                VFIO_PCI_MSIX_IRQ_INDEX,
                                0,
                                1,
                                static_cast<std::uint32_t>(eventfd)};
  REQUIRE(lab.kernel.Ioctl(lab.edu, VFIO_DEVICE_SET_IRQS, irqs) == 0);
  CHECK(vfiolab::Emulator::TakeSignals(eventfd) == 0);
  lab.Store(0x60, 1);
  CHECK(vfiolab::Emulator::TakeSignals(eventfd) == 1);
  CHECK(vfiolab::Emulator::TakeSignals(eventfd) == 0);
  close(eventfd);
}

TEST_CASE("registers are mapped: each load and store has its effect") {
  Lab lab;
  void* mapped = lab.kernel.Mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, lab.edu, 0);
  REQUIRE(mapped != MAP_FAILED);
  auto* registers = static_cast<volatile std::uint32_t*>(mapped);
  CHECK(registers[0] == 0x010000ed);
  registers[1] = 0x12345678;
  CHECK(registers[1] == ~0x12345678u);
  registers[2] = 5;
  lab.kernel.Advance(1s);
  CHECK(registers[2] == 120);
  CHECK(lab.kernel.Munmap(mapped, 1 << 20) == 0);
}

TEST_CASE("mapped memory of a device is shared with it, and reached by the DMA of another") {
  Lab lab;
  const off_t bar2 = off_t{2} << 40;
  void* mapped =
      lab.kernel.Mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, lab.testdev, bar2);
  REQUIRE(mapped != MAP_FAILED);
  auto* memory = static_cast<char*>(mapped);
  std::memcpy(memory, "from the client", 16);
  char seen[16];
  CHECK(lab.kernel.Pread(lab.testdev, seen, 16, bar2) == 16);
  CHECK(std::string(seen) == "from the client");
  REQUIRE(lab.Map(memory, 0x100000, 65536) == 0);
  lab.Dma(0x100000, 16, false);
  lab.Dma(0x101000, 16, true);
  CHECK(std::string(memory + kPage) == "from the client");
}

TEST_CASE("a DMA to another device's registers reaches them, by address") {
  Lab lab;
  void* mapped = lab.kernel.Mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, lab.edu, 0);
  REQUIRE(mapped != MAP_FAILED);
  REQUIRE(lab.Map(mapped, 0x100000, 1 << 20) == 0);
  lab.Dma(0x100000, 4, false);  // edu's identification goes into its buffer
  char* memory = Pages(1);
  REQUIRE(lab.Map(memory, 0x400000, kPage) == 0);
  lab.Dma(0x400000, 4, true);
  std::uint32_t seen = 0;
  std::memcpy(&seen, memory, 4);
  CHECK(seen == 0x010000ed);
}

TEST_CASE("a mapping keeps the device open") {
  Lab lab;
  void* mapped = lab.kernel.Mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, lab.edu, 0);
  REQUIRE(mapped != MAP_FAILED);
  lab.kernel.Close(lab.edu);
  CHECK(*static_cast<volatile std::uint32_t*>(mapped) == 0x010000ed);
}

TEST_CASE("more locked memory than RLIMIT_MEMLOCK allows is ENOMEM") {
  const Capabilities without_lock(CAP_IPC_LOCK);
  rlimit before{};
  getrlimit(RLIMIT_MEMLOCK, &before);
  const rlimit little{4 * kPage, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &little) == 0);
  Lab lab;
  char* memory = Pages(8);
  CHECK(lab.Map(memory, 0x100000, 4 * kPage) == 0);
  CHECK(lab.Map(memory + 4 * kPage, 0x200000, kPage) == -1);
  CHECK(errno == ENOMEM);
  setrlimit(RLIMIT_MEMLOCK, &before);
  CHECK(lab.Map(memory + 4 * kPage, 0x200000, kPage) == 0);
}

TEST_CASE("/sys is there, with links and what can be written") {
  Lab lab;
  const std::string edu = "/sys/bus/pci/devices/0000:01:00.0";
  CHECK(*lab.kernel.ReadFile(edu + "/vendor") == "0x1234\n");
  CHECK(lab.kernel.ReadLink(edu + "/iommu_group")->ends_with("/kernel/iommu_groups/1"));
  CHECK(lab.kernel.ReadLink(edu + "/vendor") == std::nullopt);
  CHECK(lab.kernel.ReadFile("/sys/bus/pci/nothing") == std::nullopt);
  CHECK(errno == ENOENT);
  char* names = vfiolab_list(lab.kernel.host(), "/dev/vfio");
  CHECK(std::string(names) == "1\n2\nvfio\n");
  free(names);
  const int unbind = lab.kernel.Open("/sys/bus/pci/drivers/vfio-pci/unbind", O_WRONLY);
  CHECK(lab.kernel.Write(unbind, "0000:01:00.0", 12) == -1);
  CHECK(errno == EDEADLK);
}

TEST_CASE("time stands still, and goes when it is told to") {
  Lab lab;
  CHECK(lab.kernel.Now() == 0ns);
  lab.Store(0x08, 5);
  CHECK(lab.kernel.NextEvent().has_value());
  lab.kernel.Advance(*lab.kernel.NextEvent());
  std::uint32_t value = 0;
  lab.kernel.Pread(lab.edu, &value, 4, 0x08);
  CHECK(value == 120);
}

TEST_CASE("two runs of the same calls write the same trace") {
  const auto run = [] {
    std::string lines;
    Lab lab;
    vfiolab_trace(
        lab.kernel.host(),
        [](void* to, const char* line) {
          *static_cast<std::string*>(to) += line + std::string("\n");
        },
        &lines);
    lab.Store(0x08, 5);
    lab.kernel.Advance(1s);
    lab.Dma(0x100000, 64, true);
    vfiolab_trace(lab.kernel.host(), nullptr, nullptr);
    return lines;
  };
  const std::string first = run();
  CHECK(first.find("write [vfio-device 0000:01:00.0]") != first.npos);
  CHECK(first == run());
}

TEST_CASE("all that is wrong with a topology is said at once") {
  try {
    vfiolab::Emulator::FromJson(R"({"devices": [{"bdf": "01:00.0", "model": "edo"}], "groups": 7})",
                                "mine.json");
    FAIL("it was taken");
  } catch (const vfiolab::TopologyError& error) {
    const std::string what = error.what();
    CHECK(what.find("mine.json: /devices/0/model") != what.npos);
    CHECK(what.find("mine.json: /groups") != what.npos);
  }
}

TEST_CASE("a topology can be a file") {
  auto kernel = vfiolab::Emulator::FromFile(VFIOLAB_TOPOLOGIES "/two-groups.json");
  CHECK(kernel.Open("/dev/vfio/2") >= 0);
  CHECK_THROWS_AS(vfiolab::Emulator::FromFile("/nowhere.json"), vfiolab::TopologyError);
}

TEST_CASE("several hosts live side by side") {
  Lab one, two;
  void* first = one.kernel.Mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, one.edu, 0);
  void* second = two.kernel.Mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, two.edu, 0);
  static_cast<volatile std::uint32_t*>(first)[1] = 1;
  static_cast<volatile std::uint32_t*>(second)[1] = 2;
  CHECK(static_cast<volatile std::uint32_t*>(first)[1] == ~1u);
  CHECK(static_cast<volatile std::uint32_t*>(second)[1] == ~2u);
}

TEST_CASE("pages that a device reaches stay its own when they are unmapped") {
  Lab lab;
  std::mt19937_64 random{std::random_device{}()};
  constexpr std::size_t kWords = kPage / 8;
  auto* pages = reinterpret_cast<std::uint64_t*>(Pages(3));
  auto* results = reinterpret_cast<std::uint64_t*>(Pages(1));
  const std::uint64_t first = random(), second = random(), third = random(), other = random();
  pages[kWords - 1] = first, pages[kWords] = second, pages[2 * kWords] = third;
  REQUIRE(lab.Map(pages, 0x100000, 3 * kPage) == 0);
  REQUIRE(lab.Map(pages + kWords, 0x200000, kPage) == 0);
  REQUIRE(lab.Map(results, 0x400000, kPage) == 0);
  const auto moved = [&](std::uint32_t iova) {
    lab.Dma(iova, 16, false);
    lab.Dma(0x400000, 16, true);
    return std::pair{results[0], results[1]};
  };
  constexpr std::uint64_t kNothing = 0;
  // A part goes first, and other pages come in its place.
  REQUIRE(lab.kernel.Munmap(pages, 2 * kPage) == 0);
  REQUIRE(mmap(pages, 2 * kPage, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == pages);
  pages[kWords] = other;
  REQUIRE(lab.Map(pages + kWords, 0x300000, kPage) == 0);
  CHECK(moved(0x100000 + kPage - 8) == std::pair{first, second});
  CHECK(moved(0x200000) == std::pair{second, kNothing});
  CHECK(moved(0x300000) == std::pair{other, kNothing});
  CHECK(moved(0x100000 + 2 * kPage) == std::pair{third, kNothing});
  // Then all of it.
  REQUIRE(lab.kernel.Munmap(pages, 3 * kPage) == 0);
  lab.Dma(0x300000, 8, false);
  lab.Dma(0x200000, 8, true);
  CHECK(moved(0x100000 + kPage - 8) == std::pair{first, other});
  CHECK(moved(0x300000) == std::pair{other, kNothing});
  CHECK(moved(0x100000 + 2 * kPage) == std::pair{third, kNothing});
  CHECK(lab.kernel.TakeFaults().empty());
}

TEST_CASE("of what comes in the place of pinned pages nothing is kept") {
  Lab lab;
  constexpr std::size_t kSize = 1024 * kPage;
  void* pages = Pages(1024);
  REQUIRE(lab.Map(pages, 0x1000000, kSize) == 0);
  REQUIRE(lab.kernel.Munmap(pages, kSize) == 0);
  const auto pages_of_process = [] {
    std::size_t pages_now = 0;
    std::ifstream("/proc/self/statm") >> pages_now;
    return pages_now;
  };
  const std::size_t before = pages_of_process();
  for (int i = 0; i < 20; ++i) {
    REQUIRE(mmap(pages, kSize, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == pages);
    REQUIRE(lab.kernel.Munmap(pages, kSize) == 0);
  }
  CHECK(pages_of_process() < before + 1024);
}

TEST_CASE("what is stored in a mapped doorbell a device hears when time goes by") {
  vfiolab::Topology machine;
  machine.devices = {{"0000:01:00.0", "doorbell"}};
  machine.groups = {{1, {"0000:01:00.0"}}};
  vfiolab::Emulator kernel(machine);
  int container = kernel.Open("/dev/vfio/vfio");
  const int group = kernel.Open("/dev/vfio/1");
  REQUIRE(kernel.Ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
  REQUIRE(kernel.Ioctl(container, VFIO_SET_IOMMU, reinterpret_cast<void*>(VFIO_TYPE1v2_IOMMU)) ==
          0);
  const int device = kernel.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0");
  const std::uint16_t on = 6;
  REQUIRE(kernel.Pwrite(device, &on, 2, kConfig + 4) == 2);
  const auto map = [&](off_t bar) {
    return static_cast<std::uint32_t*>(
        kernel.Mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, device, bar << 40));
  };
  std::uint32_t *rung = map(0), *heard = map(2);
  REQUIRE(rung != MAP_FAILED);
  REQUIRE(heard != MAP_FAILED);
  rung[6] = 42;
  CHECK(heard[6] == 0);
  kernel.Advance(0ns);
  CHECK(heard[6] == 42);
  rung[6] = 43;
  std::uint32_t found = 0;
  REQUIRE(kernel.Pread(device, &found, 4, (off_t{2} << 40) + 24) == 4);
  CHECK(found == 43);
}
