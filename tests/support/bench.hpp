// A machine on a bench: the core with its VFIO nodes, one client, and time that tests move.
#pragma once
#include <linux/vfio.h>

#include <stdexcept>

#include "interfaces/interfaces.hpp"
#include "machine/door.hpp"
#include "support/fake_client.hpp"
#include "support/fake_environment.hpp"
#include "support/test_models.hpp"

namespace vfiolab::test {

using namespace std::chrono_literals;

// Buses 1 and 2 lie behind root ports; a device that is alone there can be reset.
inline constexpr Bdf kFirst{0, 1, 0, 0};
inline constexpr Bdf kSecond{0, 2, 0, 0};
inline constexpr Bdf kOnRootBus{0, 0, 5, 0};

struct Placed {
  Bdf bdf;
  const Model* model;
  unsigned group;
  std::string driver = "vfio-pci";
  std::map<std::string, u64> params = {};
};

struct PlacedPlatform {
  std::string name;
  const Model* model;
  unsigned group;
  std::string driver = "vfio-platform";
  std::map<std::string, u64> params = {};
  bool has_reset = true;
};

// 48 bits, with the MSI window that every x86 IOMMU reserves.
Iommu VtdIommu();
// One with an interface of before VFIO was merged.
Kernel KernelWith(std::string_view early_api, const AugustPolicies& policies = {});

// The numbers of the descriptors that lead to one device.
struct Opened {
  int container;
  int group;
  int device;
};

// Ends a test whose preparation went wrong.
inline void Must(bool fine) {
  if (!fine) throw std::runtime_error("a step that has to succeed did not");
}

constexpr u64 Region(u32 index) { return u64{index} << 40; }
inline constexpr u64 kConfig = Region(VFIO_PCI_CONFIG_REGION_INDEX);
inline constexpr u32 kReadWrite = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

class Bench {
 public:
  // A page of the client that ioctls may use for their arguments.
  static constexpr u64 kArguments = 0x10000;

  explicit Bench(std::vector<Placed> devices = {{kFirst, &fake_devices::kEdu, 1}},
                 Iommu iommu = VtdIommu(), const Kernel& kernel = {},
                 std::vector<PlacedPlatform> platform_devices = {});

  DeviceSlot& slot(Bdf bdf = kFirst) { return *machine.device(bdf); }
  // Everything that the trace has said so far.
  std::string trace_text;
  void Listen() {
    trace.SetSink([this](std::string_view line) { trace_text.append(line).append("\n"); });
  }

  // System calls of the client: the value, or -errno.
  long Open(const std::string& name_in_dev_vfio);
  long OpenInDev(const std::string& name);
  long Ioctl(int fd, u32 command, u64 argument = 0);
  template <class T>
  requires std::is_class_v<T>
  long Ioctl(int fd, u32 command, T& argument) {
    client.mm().Put(kArguments, argument);
    const long result = Ioctl(fd, command, kArguments);
    argument = client.mm().Get<T>(kArguments);
    return result;
  }
  long Read(int fd, u64 offset, std::span<std::byte> to);
  long Write(int fd, u64 offset, std::span<const std::byte> from);
  long Mmap(int fd, u64 offset, u64 length, bool shared = true);
  // A processor's load or store on a mapping.
  long BusLoad(int fd, u64 offset, std::span<std::byte> to);
  long BusStore(int fd, u64 offset, std::span<const std::byte> from);
  void Close(int fd);

  // Lets time pass.
  void Wait(Time duration);
  // Acts on each watched eventfd that was signalled.
  void LookAtEventfds();

  // The usual steps; each one is checked.
  int OpenContainer() { return Descriptor(Open("vfio")); }
  int OpenGroup(unsigned id) { return Descriptor(Open(std::to_string(id))); }
  long SetContainer(int group, int container);
  long GetDevice(int group, const std::string& name);
  int OpenDevice(int group, Bdf bdf = kFirst) {
    return Descriptor(GetDevice(group, bdf.ToString()));
  }
  // A container with one group in it and its IOMMU set.
  Opened OpenDomain(unsigned group = 1, u64 type = VFIO_TYPE1v2_IOMMU);
  // The same and a device of that group.
  Opened OpenAll(Bdf bdf = kFirst, unsigned group = 1);

  long Map(int container, u64 iova, u64 vaddr, u64 size, u32 flags = kReadWrite);
  // The bytes that were unmapped, or -errno.
  long Unmap(int container, u64 iova, u64 size, u32 flags = 0);
  long SetIrqs(int device, u32 index, u32 flags, u32 start, u32 count,
               std::span<const std::byte> data = {});
  // SET_IRQS with TRIGGER and these eventfds from vector `start` on.
  long SetTriggers(int device, u32 index, u32 start, std::vector<int> fds);

  // A register of a region, by a call of its width; the call must succeed.
  template <class T>
  T Load(int device, u64 offset) {
    T value{};
    Must(Read(device, offset, BytesOf(value)) == sizeof value);
    return value;
  }
  template <class T>
  void Store(int device, u64 offset, T value) {
    Must(Write(device, offset, BytesOf(value)) == sizeof value);
  }

  FakeEnvironment environment;
  Trace trace;
  Machine machine;
  std::unique_ptr<Interfaces> interfaces;
  Directory dev_vfio, dev;
  Door door;
  FakeClient client;  // goes first, and its open files with it
  Time now{};

 private:
  static int Descriptor(long opened) {
    Must(opened >= 0);
    return static_cast<int>(opened);
  }
  IommuGroup& GroupOf(unsigned id);
  long Finish(Reply reply);
  long OpenNode(const Directory& directory, const std::string& path, const std::string& name);
};

}  // namespace vfiolab::test
