// What every test of this suite needs from a VFIO client: owned descriptors, system calls whose
// outcome is a value or an errno, memory, and the way from a PCI address to a device descriptor.
// Only Linux's VFIO interface is used here.
//
// The devices under test are named by the environment:
//   VFIO_TEST_EDU      QEMU's edu device, alone in its IOMMU group
//   VFIO_TEST_TESTDEV  QEMU's pci-testdev (membar=65536), alone in its group too
//   VFIO_TEST_EDU2     a second edu in a third group (optional)
#pragma once

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

// ---- Outcomes ----

struct Errno {
  int number;
};

// What a system call returned: compare it with a value or with an Errno.
class Result {
 public:
  static Result Of(long returned) { return returned < 0 ? Result(-1, errno) : Result(returned, 0); }
  static Result Value(long value) { return Result(value, 0); }

  bool Ok() const { return error_ == 0; }
  long Value() const { return value_; }
  int Error() const { return error_; }

  friend bool operator==(const Result& result, long value) {
    return result.Ok() && result.value_ == value;
  }
  friend bool operator==(const Result& result, Errno error) {
    return result.error_ == error.number;
  }

 private:
  Result(long value, int error) : value_(value), error_(error) {}
  long value_;
  int error_;
};

namespace Catch {
template <>
struct StringMaker<Errno> {
  static std::string convert(Errno error) {
    return std::string("errno ") + std::strerror(error.number);
  }
};
template <>
struct StringMaker<Result> {
  static std::string convert(const Result& result) {
    return result.Ok() ? std::to_string(result.Value())
                       : StringMaker<Errno>::convert(Errno{result.Error()});
  }
};
}  // namespace Catch

// ---- Descriptors and calls ----

class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    Close();
    number_ = std::exchange(other.number_, -1);
    return *this;
  }
  ~Fd() { Close(); }

  operator int() const { return number_; }
  void Close() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_ = -1;
};

template <class Argument>
Result Ioctl(int fd, unsigned long command, Argument argument) {
  return Result::Of(::ioctl(fd, command, argument));
}
inline Result Ioctl(int fd, unsigned long command) { return Ioctl(fd, command, 0UL); }

inline Result Read(int fd, void* data, size_t size, uint64_t offset) {
  return Result::Of(::pread(fd, data, size, static_cast<off_t>(offset)));
}
inline Result Write(int fd, const void* data, size_t size, uint64_t offset) {
  return Result::Of(::pwrite(fd, data, size, static_cast<off_t>(offset)));
}

// ---- Child processes ----

// Starts a child that ends with status 0 if the check holds. Nothing that fails in the child may
// reach the test runner, which would go on there with the next test.
template <class Check>
pid_t Fork(Check check) {
  pid_t child = ::fork();
  if (child != 0) return child;
  bool holds = false;
  try {
    holds = check();
  } catch (...) {
  }
  ::_exit(holds ? 0 : 1);
}

inline bool EndsWell(pid_t child) {
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

// ---- Memory ----

constexpr uint64_t kPage = 4096;
constexpr uint64_t kIova = 0x100000;  // edu reaches 28 bits

// An address where nothing is mapped.
inline void* Nowhere() { return reinterpret_cast<void*>(kPage); }

class Pages {
 public:
  explicit Pages(size_t count, int protection = PROT_READ | PROT_WRITE,
                 int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1)
      : size_(count * kPage),
        data_(static_cast<uint8_t*>(::mmap(nullptr, size_, protection, flags, fd, 0))) {
    if (data_ == MAP_FAILED) throw std::runtime_error("mmap failed");
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { ::munmap(data_, size_); }

  uint8_t* Data() const { return data_; }
  uint8_t& operator[](size_t index) const { return data_[index]; }
  size_t Size() const { return size_; }
  void Fill(uint8_t value) const { std::memset(data_, value, size_); }
  // Takes one page away from the client: it stays reserved, but nothing can be read or written
  // there.
  void Protect(size_t page, int protection) const {
    ::mprotect(data_ + page * kPage, kPage, protection);
  }

 private:
  size_t size_;
  uint8_t* data_;
};

// ---- Container, group, device ----

inline std::string Required(const char* variable) {
  const char* value = std::getenv(variable);
  if (!value)
    throw std::runtime_error(std::string("the environment does not name a device in ") + variable);
  return value;
}
inline std::string Edu() { return Required("VFIO_TEST_EDU"); }
inline std::string Testdev() { return Required("VFIO_TEST_TESTDEV"); }

inline std::string GroupPath(const std::string& address) {
  char target[512];
  ssize_t length = ::readlink(("/sys/bus/pci/devices/" + address + "/iommu_group").c_str(), target,
                              sizeof target);
  if (length < 0) throw std::runtime_error(address + " has no IOMMU group");
  std::string group(target, static_cast<size_t>(length));
  return "/dev/vfio/" + group.substr(group.rfind('/') + 1);
}

inline Fd OpenContainer() { return Fd(::open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)); }
inline Result TryOpen(const std::string& path) {
  return Result::Of(::open(path.c_str(), O_RDWR | O_CLOEXEC));
}

inline Fd OpenGroup(const std::string& address) {
  Result group = TryOpen(GroupPath(address));
  REQUIRE(group.Ok());
  return Fd(static_cast<int>(group.Value()));
}

inline Result SetContainer(int group, int container) {
  return Ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
}

inline Result GetDeviceFd(int group, const std::string& name) {
  return Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name.c_str());
}

inline Fd OpenDevice(int group, const std::string& address) {
  Result device = GetDeviceFd(group, address);
  REQUIRE(device.Ok());
  return Fd(static_cast<int>(device.Value()));
}

// A group in a container with an IOMMU model chosen: MAP_DMA works here.
struct Domain {
  Fd container, group;
};

inline Domain OpenDomain(const std::string& address, unsigned long model = VFIO_TYPE1v2_IOMMU) {
  Domain domain{OpenContainer(), OpenGroup(address)};
  REQUIRE(SetContainer(domain.group, domain.container) == 0);
  REQUIRE(Ioctl(domain.container, VFIO_SET_IOMMU, model) == 0);
  return domain;
}

struct Client {
  Fd container, group, device;
};

inline Client OpenClient(const std::string& address) {
  Domain domain = OpenDomain(address);
  Fd device = OpenDevice(domain.group, address);
  return {std::move(domain.container), std::move(domain.group), std::move(device)};
}

// ---- DMA mappings ----

constexpr uint32_t kReadWrite = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

inline Result Map(int container, uint64_t iova, const void* memory, uint64_t size,
                  uint32_t flags = kReadWrite) {
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof map;
  map.flags = flags;
  map.vaddr = reinterpret_cast<uintptr_t>(memory);
  map.iova = iova;
  map.size = size;
  return Ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

// The result is the number of bytes that the kernel says it has unmapped.
inline Result Unmap(int container, uint64_t iova, uint64_t size, uint32_t flags = 0) {
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof unmap;
  unmap.flags = flags;
  unmap.iova = iova;
  unmap.size = size;
  Result result = Ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
  return result.Ok() ? Result::Value(static_cast<long>(unmap.size)) : result;
}

// ---- Regions ----

inline vfio_region_info RegionInfo(int device, uint32_t index) {
  vfio_region_info info{};
  info.argsz = sizeof info;
  info.index = index;
  REQUIRE(Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0);
  return info;
}

inline uint64_t RegionOffset(int device, uint32_t index) {
  return RegionInfo(device, index).offset;
}

template <class Word>
Word ReadConfig(int device, uint32_t at) {
  Word value{};
  REQUIRE(Read(device, &value, sizeof value,
               RegionOffset(device, VFIO_PCI_CONFIG_REGION_INDEX) + at) == sizeof value);
  return value;
}

template <class Word>
void WriteConfig(int device, uint32_t at, Word value) {
  REQUIRE(Write(device, &value, sizeof value,
                RegionOffset(device, VFIO_PCI_CONFIG_REGION_INDEX) + at) == sizeof value);
}

enum : uint16_t { kCommandMemory = 2, kCommandMaster = 4, kCommandNoIntx = 0x400 };
enum : uint32_t { kPciCommand = 4, kPciStatus = 6 };

inline void SetCommand(int device, uint16_t set, uint16_t clear) {
  uint16_t command = ReadConfig<uint16_t>(device, kPciCommand);
  WriteConfig<uint16_t>(device, kPciCommand, static_cast<uint16_t>((command | set) & ~clear));
}

// ---- Interrupts ----

class Event {
 public:
  Event() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  operator int() const { return fd_; }
  // How often it was signalled since the last call; waits up to the given time for the first
  // signal.
  uint64_t Take(int milliseconds = 0) const;
  void Signal() const { REQUIRE(::eventfd_write(fd_, 1) == 0); }
  void CloseMine() { fd_.Close(); }

 private:
  Fd fd_;
};

inline Result SetIrqsRaw(int device, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
                         const void* data = nullptr, size_t size = 0) {
  std::vector<uint8_t> buffer(sizeof(vfio_irq_set) + size);
  vfio_irq_set set{};
  set.argsz = static_cast<uint32_t>(buffer.size());
  set.flags = flags;
  set.index = index;
  set.start = start;
  set.count = count;
  std::memcpy(buffer.data(), &set, sizeof set);
  if (size) std::memcpy(buffer.data() + sizeof set, data, size);
  return Ioctl(device, VFIO_DEVICE_SET_IRQS, buffer.data());
}

inline Result SetIrqs(int device, uint32_t action, uint32_t index, uint32_t start,
                      const std::vector<int>& events) {
  return SetIrqsRaw(device, VFIO_IRQ_SET_DATA_EVENTFD | action, index, start,
                    static_cast<uint32_t>(events.size()), events.data(),
                    events.size() * sizeof(int));
}
