// Arguments that are not there, only partly there, or cannot be written.
#include <cstddef>

#include "client.hpp"
#include "edu.hpp"

namespace {

struct Call {
  const char* name;
  unsigned long command;
  size_t size;  // bytes that the kernel reads first
};

#define CALL(command, type, last) \
  Call { #command, command, offsetof(type, last) + sizeof(type::last) }

const Call kContainerCalls[] = {
    CALL(VFIO_IOMMU_GET_INFO, vfio_iommu_type1_info, iova_pgsizes),
    CALL(VFIO_IOMMU_MAP_DMA, vfio_iommu_type1_dma_map, size),
    CALL(VFIO_IOMMU_UNMAP_DMA, vfio_iommu_type1_dma_unmap, size),
    CALL(VFIO_IOMMU_DIRTY_PAGES, vfio_iommu_type1_dirty_bitmap, flags),
};
const Call kGroupCalls[] = {
    CALL(VFIO_GROUP_GET_STATUS, vfio_group_status, flags),
    Call{"VFIO_GROUP_SET_CONTAINER", VFIO_GROUP_SET_CONTAINER, sizeof(int)},
};
const Call kDeviceCalls[] = {
    CALL(VFIO_DEVICE_GET_INFO, vfio_device_info, num_irqs),
    CALL(VFIO_DEVICE_GET_REGION_INFO, vfio_region_info, offset),
    CALL(VFIO_DEVICE_GET_IRQ_INFO, vfio_irq_info, count),
    CALL(VFIO_DEVICE_SET_IRQS, vfio_irq_set, count),
    CALL(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, vfio_pci_hot_reset_info, count),
    CALL(VFIO_DEVICE_PCI_HOT_RESET, vfio_pci_hot_reset, count),
    CALL(VFIO_DEVICE_IOEVENTFD, vfio_device_ioeventfd, fd),
    CALL(VFIO_DEVICE_FEATURE, vfio_device_feature, flags),
};

// Memory whose end is known: what follows it cannot be accessed.
class Brink {
 public:
  Brink() : pages_(2) { pages_.Protect(1, PROT_NONE); }
  // The address from which exactly this many bytes can be accessed.
  uint8_t* Before(size_t bytes) const { return pages_.Data() + kPage - bytes; }
  template <class Struct>
  Struct* Put(const Struct& value, size_t bytes = sizeof(Struct)) const {
    std::memcpy(Before(bytes), &value, bytes);
    return reinterpret_cast<Struct*>(Before(bytes));
  }
  void MakeReadOnly() const { pages_.Protect(0, PROT_READ); }

 private:
  Pages pages_;
};

template <size_t Count>
void CheckNowhere(int fd, const Call (&calls)[Count]) {
  for (const Call& call : calls) {
    INFO(call.name);
    CHECK(Ioctl(fd, call.command, nullptr) == Errno{EFAULT});
    CHECK(Ioctl(fd, call.command, Nowhere()) == Errno{EFAULT});
    CHECK(Ioctl(fd, call.command, ~0UL) == Errno{EFAULT});
    CHECK(Ioctl(fd, call.command, 0xffff800000000000UL) == Errno{EFAULT});
  }
}

// One byte too few is a fault, even where argsz is 0 and would be refused.
template <size_t Count>
void CheckOneByteShort(int fd, const Call (&calls)[Count]) {
  Brink brink;
  for (const Call& call : calls) {
    INFO(call.name);
    CHECK(Ioctl(fd, call.command, brink.Before(call.size - 1)) == Errno{EFAULT});
    CHECK(Ioctl(fd, call.command, brink.Before(1)) == Errno{EFAULT});
  }
}

}  // namespace

TEST_CASE("every ioctl of the container with an argument that is not there is EFAULT", "[bad]") {
  Domain domain = OpenDomain(Edu());
  CheckNowhere(domain.container, kContainerCalls);
}

TEST_CASE("every ioctl of the group with an argument that is not there is EFAULT", "[bad]") {
  Fd group = OpenGroup(Edu());
  CheckNowhere(group, kGroupCalls);
}

TEST_CASE("every ioctl of the device with an argument that is not there is EFAULT", "[bad]") {
  Client client = OpenEdu();
  CheckNowhere(client.device, kDeviceCalls);
}

TEST_CASE("an argument that ends one byte early is EFAULT, before argsz is looked at", "[bad]") {
  Client client = OpenEdu();
  CheckOneByteShort(client.container, kContainerCalls);
  CheckOneByteShort(client.group, kGroupCalls);
  CheckOneByteShort(client.device, kDeviceCalls);
}

TEST_CASE("an argument may end where memory ends, though argsz promises more", "[bad]") {
  Brink brink;
  Pages memory(1);
  Client client = OpenEdu();
  vfio_iommu_type1_dma_map map{4096, kReadWrite, reinterpret_cast<uintptr_t>(memory.Data()), kIova,
                               kPage};
  vfio_region_info region{};
  region.argsz = 4096;
  CHECK(Ioctl(client.group, VFIO_GROUP_GET_STATUS, brink.Put(vfio_group_status{4096, 0})) == 0);
  CHECK(Ioctl(client.container, VFIO_IOMMU_MAP_DMA, brink.Put(map)) == 0);
  CHECK(Ioctl(client.device, VFIO_DEVICE_GET_REGION_INFO, brink.Put(region)) == 0);
  CHECK(Ioctl(client.device, VFIO_DEVICE_GET_IRQ_INFO, brink.Put(vfio_irq_info{4096, 0, 0, 0})) ==
        0);
}

TEST_CASE("the 16 bytes of the oldest GET_INFO are enough", "[bad]") {
  Brink brink;
  Client client = OpenEdu();
  vfio_device_info device{};
  vfio_iommu_type1_info iommu{};
  device.argsz = iommu.argsz = 16;
  CHECK(Ioctl(client.device, VFIO_DEVICE_GET_INFO, brink.Put(device, 16)) == 0);
  CHECK(Ioctl(client.container, VFIO_IOMMU_GET_INFO, brink.Put(iommu, 16)) == 0);
}

TEST_CASE("IOMMU_GET_INFO with less memory than argsz promises for capabilities is EFAULT",
          "[bad]") {
  Brink brink;
  Client client = OpenEdu();
  vfio_iommu_type1_info info{};
  info.argsz = 4096;
  CHECK(Ioctl(client.container, VFIO_IOMMU_GET_INFO, brink.Put(info)) == Errno{EFAULT});
}

// ---- Memory that can be read but not written ----

TEST_CASE("MAP_DMA takes its argument from read-only memory", "[bad]") {
  Brink brink;
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  auto* map =
      brink.Put(vfio_iommu_type1_dma_map{sizeof(vfio_iommu_type1_dma_map), kReadWrite,
                                         reinterpret_cast<uintptr_t>(memory.Data()), kIova, kPage});
  brink.MakeReadOnly();
  CHECK(Ioctl(domain.container, VFIO_IOMMU_MAP_DMA, map) == 0);
}

TEST_CASE("SET_IRQS takes its argument from read-only memory", "[bad]") {
  Brink brink;
  Event event;
  Client client = OpenEdu();
  struct {
    uint32_t argsz, flags, index, start, count;
    int fd;
  } set{24,   VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_REQ_IRQ_INDEX, 0, 1,
        event};
  auto* argument = brink.Put(set);
  brink.MakeReadOnly();
  CHECK(Ioctl(client.device, VFIO_DEVICE_SET_IRQS, argument) == 0);
}

TEST_CASE("SET_CONTAINER and GET_DEVICE_FD take their arguments from read-only memory", "[bad]") {
  Brink number, name;
  Fd container = OpenContainer(), group = OpenGroup(Edu());
  int* argument = number.Put<int>(container);
  number.MakeReadOnly();
  REQUIRE(Ioctl(group, VFIO_GROUP_SET_CONTAINER, argument) == 0);
  REQUIRE(Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);

  std::string address = Edu();
  uint8_t* string = name.Before(address.size() + 1);
  std::memcpy(string, address.c_str(), address.size() + 1);
  name.MakeReadOnly();
  Result device = Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, string);
  CHECK(device.Ok());
  Fd(static_cast<int>(device.Value())).Close();
}

TEST_CASE("an ioctl with an answer is EFAULT if its argument is read-only memory", "[bad]") {
  Brink status, iommu, device, region, irq;
  Client client = OpenEdu();
  vfio_iommu_type1_info iommu_info{};
  vfio_device_info device_info{};
  vfio_region_info region_info{};
  iommu_info.argsz = sizeof iommu_info;
  device_info.argsz = sizeof device_info;
  region_info.argsz = sizeof region_info;
  auto* status_argument = status.Put(vfio_group_status{sizeof(vfio_group_status), 0});
  auto* iommu_argument = iommu.Put(iommu_info);
  auto* device_argument = device.Put(device_info);
  auto* region_argument = region.Put(region_info);
  auto* irq_argument = irq.Put(vfio_irq_info{sizeof(vfio_irq_info), 0, 0, 0});
  for (const Brink* brink : {&status, &iommu, &device, &region, &irq}) brink->MakeReadOnly();
  CHECK(Ioctl(client.group, VFIO_GROUP_GET_STATUS, status_argument) == Errno{EFAULT});
  CHECK(Ioctl(client.container, VFIO_IOMMU_GET_INFO, iommu_argument) == Errno{EFAULT});
  CHECK(Ioctl(client.device, VFIO_DEVICE_GET_INFO, device_argument) == Errno{EFAULT});
  CHECK(Ioctl(client.device, VFIO_DEVICE_GET_REGION_INFO, region_argument) == Errno{EFAULT});
  CHECK(Ioctl(client.device, VFIO_DEVICE_GET_IRQ_INFO, irq_argument) == Errno{EFAULT});
}

TEST_CASE("UNMAP_DMA with its argument in read-only memory is EFAULT, yet it has unmapped",
          "[bad]") {
  Brink brink;
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof unmap;
  unmap.iova = kIova;
  unmap.size = kPage;
  auto* argument = brink.Put(unmap);
  brink.MakeReadOnly();
  CHECK(Ioctl(domain.container, VFIO_IOMMU_UNMAP_DMA, argument) == Errno{EFAULT});
  CHECK(Unmap(domain.container, kIova, kPage) == 0);
}

// ---- What arguments point to ----

TEST_CASE("GET_DEVICE_FD of a name that is not there, or does not end, is EFAULT", "[bad]") {
  Brink brink;
  Domain domain = OpenDomain(Edu());
  std::memset(brink.Before(100), 'x', 100);
  CHECK(Ioctl(domain.group, VFIO_GROUP_GET_DEVICE_FD, nullptr) == Errno{EFAULT});
  CHECK(Ioctl(domain.group, VFIO_GROUP_GET_DEVICE_FD, Nowhere()) == Errno{EFAULT});
  CHECK(Ioctl(domain.group, VFIO_GROUP_GET_DEVICE_FD, brink.Before(100)) == Errno{EFAULT});
}

TEST_CASE("SET_IRQS with data that is not there is EFAULT, after all checks of the rest", "[bad]") {
  Brink brink;
  Client client = OpenEdu();
  vfio_irq_set set{24, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                   VFIO_PCI_MSI_IRQ_INDEX, 0, 1};
  CHECK(Ioctl(client.device, VFIO_DEVICE_SET_IRQS, brink.Put(set)) == Errno{EFAULT});
  set.index = VFIO_PCI_MSIX_IRQ_INDEX;
  CHECK(Ioctl(client.device, VFIO_DEVICE_SET_IRQS, brink.Put(set)) == Errno{EINVAL});
  set.index = VFIO_PCI_MSI_IRQ_INDEX;
  set.argsz = 20;
  CHECK(Ioctl(client.device, VFIO_DEVICE_SET_IRQS, brink.Put(set)) == Errno{EINVAL});
}

TEST_CASE("SET_IRQS reads its data before it looks for an action", "[bad]") {
  Brink brink;
  Client client = OpenEdu();
  vfio_irq_set set{24, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_MSI_IRQ_INDEX, 0, 1};
  CHECK(Ioctl(client.device, VFIO_DEVICE_SET_IRQS, brink.Put(set)) == Errno{EFAULT});
}

TEST_CASE("DIRTY_PAGES: a range or a bitmap that is not there is EFAULT", "[bad]") {
  struct Range {
    uint32_t argsz, flags;
    uint64_t iova, size;
    vfio_bitmap bitmap;
  };
  Brink brink;
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  Range range{8, VFIO_IOMMU_DIRTY_PAGES_FLAG_START, 0, 0, {}};
  REQUIRE(Ioctl(domain.container, VFIO_IOMMU_DIRTY_PAGES, &range) == 0);
  range = {sizeof range,
           VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
           kIova,
           kPage,
           {kPage, 8, static_cast<__u64*>(Nowhere())}};
  CHECK(Ioctl(domain.container, VFIO_IOMMU_DIRTY_PAGES, &range) == Errno{EFAULT});
  CHECK(Ioctl(domain.container, VFIO_IOMMU_DIRTY_PAGES, brink.Put(range, 40)) == Errno{EFAULT});
}

// ---- Buffers of reads and writes ----

TEST_CASE("reading a region into memory that is not there, or read-only, is EFAULT", "[bad]") {
  Pages read_only(1, PROT_READ);
  Client client = OpenEdu();
  for (uint32_t index : {VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX}) {
    uint64_t offset = RegionOffset(client.device, index);
    CHECK(Read(client.device, Nowhere(), 4, offset) == Errno{EFAULT});
    CHECK(Read(client.device, nullptr, 4, offset) == Errno{EFAULT});
    CHECK(Read(client.device, read_only.Data(), 4, offset) == Errno{EFAULT});
  }
}

TEST_CASE("writing a region from memory that is not there is EFAULT and changes nothing", "[bad]") {
  Client client = OpenEdu();
  WriteRegister(client.device, kEduLiveness, 0x1234);
  CHECK(Write(client.device, Nowhere(), 4, RegionOffset(client.device, 0) + kEduLiveness) ==
        Errno{EFAULT});
  CHECK(ReadRegister(client.device, kEduLiveness) == ~0x1234u);
  CHECK(Write(client.device, Nowhere(), 1,
              RegionOffset(client.device, VFIO_PCI_CONFIG_REGION_INDEX) + 0x3c) == Errno{EFAULT});
}
