/*
 * A user-space driver for QEMU's "edu" device as one was written from October 2011 to January 2012,
 * when VFIO had a node for each group of devices and groups could be merged.
 *
 *     merge_driver 0000:01:00.0 [0000:02:00.0]
 *
 * It opens the device's group, maps memory for DMA and moves bytes, with interrupts by the line,
 * then by MSI-X where the device has it. The group of the second device joins that of the first, so
 * that both devices see the same memory, and leaves it in the end. Compile it with
 * -I examples/early/include/REVISION.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

enum { EDU_ID = 0x00, EDU_IRQ_ACK = 0x64 };
enum { EDU_DMA_SOURCE = 0x80, EDU_DMA_TARGET = 0x88, EDU_DMA_COUNT = 0x90, EDU_DMA_COMMAND = 0x98 };
enum { DMA_START = 1, DMA_TO_MEMORY = 2, DMA_IRQ_WHEN_DONE = 4, EDU_BUFFER = 0x40000 };
enum { DMA_DONE = 0x100 };
enum { PCI_COMMAND = 0x04, COMMAND_MEMORY = 2, COMMAND_MASTER = 4 };
enum { PAGE = 4096, PAGES = 2, TRANSFER = 2048, WAIT_MS = 5000 };
/* The memory's address for the devices. */
static const uint64_t kIova = 0xF0000000 - PAGES * PAGE;

struct Edu {
  const char* address;
  int device, interrupt;        /* descriptors */
  volatile uint32_t* registers; /* BAR0, or NULL where it cannot be mapped */
  uint64_t bar0, bar0_size;     /* in the device's file */
  uint64_t config;              /* likewise */
  unsigned msix_count;
};

static unsigned char* memory; /* a page to send and a page to receive */

static void Check(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

/* Like Check, where errno has nothing to say. */
static void Expect(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* What follows, up to UnmaskLine, is what differs between the revisions. */
#ifdef VFIO_GROUP_GET_INFO /* November 2011 and later: structures with argsz */
#define GROUP_NODE "/dev/vfio/pci:%u"

static void CheckGroup(int group) {
  struct vfio_group_info info = {.argsz = sizeof info};
  Check(ioctl(group, VFIO_GROUP_GET_INFO, &info) == 0, "VFIO_GROUP_GET_INFO");
  Expect(info.flags & VFIO_GROUP_FLAGS_VIABLE, "a device of the group is not bound to vfio");
  Expect(!(info.flags & VFIO_GROUP_FLAGS_MM_LOCKED), "the group is in use");
}

static void Unmerge(int group, int other) {
  (void)group;
  Check(ioctl(other, VFIO_GROUP_UNMERGE) == 0, "VFIO_GROUP_UNMERGE");
}

static void CheckIommu(int iommu) {
  struct vfio_iommu_info info = {.argsz = sizeof info};
  Check(ioctl(iommu, VFIO_IOMMU_GET_INFO, &info) == 0, "VFIO_IOMMU_GET_INFO");
#ifdef VFIO_DEVICE_SET_IRQS
  uint64_t first = info.iova_start, last = first + info.iova_size - 1, sizes = info.iova_pgsizes;
#else
  uint64_t first = info.iova_min, last = info.iova_max, sizes = info.pgsize_bitmap;
#endif
  Expect(first <= kIova && kIova + PAGES * PAGE - 1 <= last, "the IOMMU has other addresses");
  Expect((sizes & PAGE) != 0, "the IOMMU has other pages");
}

static void MapMemory(int iommu) {
  struct vfio_dma_map map = {sizeof map, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                             (uintptr_t)memory, kIova, PAGES * PAGE};
  Check(ioctl(iommu, VFIO_IOMMU_MAP_DMA, &map) == 0, "VFIO_IOMMU_MAP_DMA");
}

static void UnmapMemory(int iommu) {
  struct vfio_dma_unmap unmap = {sizeof unmap, 0, kIova, PAGES * PAGE};
  Check(ioctl(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0, "VFIO_IOMMU_UNMAP_DMA");
}

static void CheckDevice(int device) {
  struct vfio_device_info info = {.argsz = sizeof info};
  Check(ioctl(device, VFIO_DEVICE_GET_INFO, &info) == 0, "VFIO_DEVICE_GET_INFO");
  Expect(info.flags & VFIO_DEVICE_FLAGS_PCI, "this is no PCI device");
  Expect(info.num_regions >= VFIO_PCI_NUM_REGIONS, "regions are missing");
  Expect(info.num_irqs >= VFIO_PCI_NUM_IRQS, "interrupts are missing");
}
#else /* October 2011 */
#define GROUP_NODE "/dev/vfio/%u"

static void CheckGroup(int group) {
#ifdef VFIO_GROUP_GET_FLAGS
  uint64_t flags = 0;
  Check(ioctl(group, VFIO_GROUP_GET_FLAGS, &flags) == 0, "VFIO_GROUP_GET_FLAGS");
  Expect(flags & VFIO_GROUP_FLAGS_VIABLE, "a device of the group is not bound to vfio");
  Expect(!(flags & VFIO_GROUP_FLAGS_MM_LOCKED), "the group is in use");
#else
  (void)group; /* could not be asked; what comes next fails */
#endif
}

static void Unmerge(int group, int other) {
  Check(ioctl(group, VFIO_GROUP_UNMERGE, &other) == 0, "VFIO_GROUP_UNMERGE");
}

static void CheckIommu(int iommu) {
#ifdef VFIO_IOMMU_GET_FLAGS
  uint64_t flags = 0;
  Check(ioctl(iommu, VFIO_IOMMU_GET_FLAGS, &flags) == 0, "VFIO_IOMMU_GET_FLAGS");
  Expect(flags & VFIO_IOMMU_FLAGS_MAP_ANY, "the IOMMU does not map any address");
#else
  (void)iommu;
#endif
}

static void MapMemory(int iommu) {
  struct vfio_dma_map map = {sizeof map, (uintptr_t)memory, kIova, PAGES * PAGE,
                             VFIO_DMA_MAP_FLAG_WRITE};
  Check(ioctl(iommu, VFIO_IOMMU_MAP_DMA, &map) == 0, "VFIO_IOMMU_MAP_DMA");
}

static void UnmapMemory(int iommu) {
  struct vfio_dma_map map = {.len = sizeof map, .dmaaddr = kIova, .size = PAGES * PAGE};
  Check(ioctl(iommu, VFIO_IOMMU_UNMAP_DMA, &map) == 0, "VFIO_IOMMU_UNMAP_DMA");
}

static void CheckDevice(int device) {
  uint64_t flags = 0;
  int regions = 0, interrupts = 0;
  Check(ioctl(device, VFIO_DEVICE_GET_FLAGS, &flags) == 0, "VFIO_DEVICE_GET_FLAGS");
  Check(ioctl(device, VFIO_DEVICE_GET_NUM_REGIONS, &regions) == 0, "VFIO_DEVICE_GET_NUM_REGIONS");
  Check(ioctl(device, VFIO_DEVICE_GET_NUM_IRQS, &interrupts) == 0, "VFIO_DEVICE_GET_NUM_IRQS");
  Expect(flags & VFIO_DEVICE_FLAGS_PCI, "this is no PCI device");
  Expect(regions >= VFIO_PCI_NUM_REGIONS, "regions are missing");
  Expect(interrupts >= VFIO_PCI_NUM_IRQS, "interrupts are missing");
}
#endif

#ifdef VFIO_DEVICE_SET_IRQS /* January 2012 */
/* Without an eventfd, -1, the interrupt is switched off. */
static void SetInterrupt(int device, unsigned index, int signal) {
  int some = signal >= 0;
  unsigned size = sizeof(struct vfio_irq_set) + (some ? sizeof signal : 0);
  struct vfio_irq_set* set = calloc(1, size);
  Check(set != NULL, "calloc");
  set->argsz = size;
  set->flags = VFIO_IRQ_SET_ACTION_TRIGGER;
  set->flags |= some ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE;
  set->index = index;
  set->count = some;
  if (some) memcpy(set->data, &signal, sizeof signal);
  Check(ioctl(device, VFIO_DEVICE_SET_IRQS, set) == 0, "VFIO_DEVICE_SET_IRQS");
  free(set);
}

static void UnmaskLine(int device) {
  struct vfio_irq_set set = {.argsz = sizeof set,
                             .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
                             .index = VFIO_PCI_INTX_IRQ_INDEX,
                             .count = 1};
  Check(ioctl(device, VFIO_DEVICE_SET_IRQS, &set) == 0, "VFIO_DEVICE_SET_IRQS, unmask");
}
#elif defined VFIO_DEVICE_GET_INFO /* November 2011 */
/* Without an eventfd, -1, the interrupt is switched off. */
static void SetInterrupt(int device, unsigned index, int signal) {
  int some = signal >= 0;
  unsigned size = sizeof(struct vfio_irq_eventfds) + (some ? sizeof signal : 0);
  struct vfio_irq_eventfds* set = calloc(1, size);
  Check(set != NULL, "calloc");
  set->argsz = size;
  set->index = index;
  set->count = (unsigned)some;
  if (some) set->eventfds[0] = signal;
  Check(ioctl(device, VFIO_DEVICE_SET_IRQ_EVENTFDS, set) == 0, "VFIO_DEVICE_SET_IRQ_EVENTFDS");
  free(set);
}

static void UnmaskLine(int device) {
  struct vfio_unmask_irq unmask = {.argsz = sizeof unmask, .index = VFIO_PCI_INTX_IRQ_INDEX};
  Check(ioctl(device, VFIO_DEVICE_UNMASK_IRQ, &unmask) == 0, "VFIO_DEVICE_UNMASK_IRQ");
}
#else                              /* October 2011 */
/* Without an eventfd, -1, the interrupt is switched off. */
static void SetInterrupt(int device, unsigned index, int signal) {
  int set[3] = {(int)index, signal >= 0, signal};
  Check(ioctl(device, VFIO_DEVICE_SET_IRQ_EVENTFDS, set) == 0, "VFIO_DEVICE_SET_IRQ_EVENTFDS");
}

static void UnmaskLine(int device) {
  int index = VFIO_PCI_INTX_IRQ_INDEX;
  Check(ioctl(device, VFIO_DEVICE_UNMASK_IRQ, &index) == 0, "VFIO_DEVICE_UNMASK_IRQ");
}
#endif

/* The structures' first field is their size, whatever it is called. */
static struct vfio_region_info Region(int device, unsigned index) {
  struct vfio_region_info info = {sizeof info, .index = index};
  Check(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "VFIO_DEVICE_GET_REGION_INFO");
  return info;
}

static unsigned InterruptCount(int device, unsigned index) {
  struct vfio_irq_info info = {sizeof info, .index = index};
  Check(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info) == 0, "VFIO_DEVICE_GET_IRQ_INFO");
  return (unsigned)info.count;
}

static uint32_t Load(const struct Edu* edu, unsigned at) {
  uint32_t value = 0;
  if (edu->registers) return edu->registers[at / 4];
  Check(pread(edu->device, &value, 4, (off_t)(edu->bar0 + at)) == 4, "read a register");
  return value;
}

static void Store(const struct Edu* edu, unsigned at, uint32_t value) {
  if (edu->registers)
    edu->registers[at / 4] = value;
  else
    Check(pwrite(edu->device, &value, 4, (off_t)(edu->bar0 + at)) == 4, "write a register");
}

static int OpenGroup(const char* address) {
  char path[300];
  unsigned id = 0;
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/iommu_group", address);
  FILE* file = fopen(path, "r");
  Check(file != NULL, path);
  Expect(fscanf(file, "%u", &id) == 1, "iommu_group holds no number");
  fclose(file);
  snprintf(path, sizeof path, GROUP_NODE, id);
  int group = open(path, O_RDWR);
  Check(group >= 0, path);
  CheckGroup(group);
  printf("%s is in %s\n", address, path);
  return group;
}

static void EnableMemory(const struct Edu* edu) {
  off_t at = (off_t)(edu->config + PCI_COMMAND);
  uint16_t command = 0;
  Check(pread(edu->device, &command, 2, at) == 2, "read config space");
  command |= COMMAND_MEMORY | COMMAND_MASTER;
  Check(pwrite(edu->device, &command, 2, at) == 2, "write config space");
}

static void MapRegisters(struct Edu* edu) {
  struct vfio_region_info bar0 = Region(edu->device, VFIO_PCI_BAR0_REGION_INDEX);
  edu->bar0 = bar0.offset;
  edu->bar0_size = bar0.size;
  if (bar0.flags & VFIO_REGION_INFO_FLAG_MMAP) {
    void* at =
        mmap(NULL, bar0.size, PROT_READ | PROT_WRITE, MAP_SHARED, edu->device, (off_t)bar0.offset);
    edu->registers = at == MAP_FAILED ? NULL : at;
  }
  printf("BAR0 has %llu bytes, %s\n", (unsigned long long)bar0.size,
         edu->registers ? "mapped" : "read and written");
  Expect((Load(edu, EDU_ID) & 0xff) == 0xed, "this is no edu");
}

static struct Edu OpenEdu(int group, const char* address) {
  struct Edu edu = {.address = address};
  edu.device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
  Check(edu.device >= 0, "VFIO_GROUP_GET_DEVICE_FD");
  CheckDevice(edu.device);
  printf("%s, bytes of its regions:", address);
  for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
    printf(" %llu", (unsigned long long)Region(edu.device, i).size);
  printf("; interrupts:");
  for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++) printf(" %u", InterruptCount(edu.device, i));
  printf("\n");
  edu.config = Region(edu.device, VFIO_PCI_CONFIG_REGION_INDEX).offset;
  edu.msix_count = InterruptCount(edu.device, VFIO_PCI_MSIX_IRQ_INDEX);
  EnableMemory(&edu);
  MapRegisters(&edu);
  edu.interrupt = eventfd(0, EFD_CLOEXEC);
  Check(edu.interrupt >= 0, "eventfd");
  return edu;
}

static void CloseEdu(struct Edu* edu) {
  if (edu->registers) munmap((void*)edu->registers, edu->bar0_size);
  close(edu->interrupt);
  close(edu->device);
}

static void AwaitInterrupt(const struct Edu* edu) {
  struct pollfd ready = {edu->interrupt, POLLIN, 0};
  uint64_t count = 0;
  Expect(poll(&ready, 1, WAIT_MS) == 1, "no interrupt came");
  Check(read(edu->interrupt, &count, sizeof count) == sizeof count, "read an eventfd");
}

/* The line is masked when it interrupts; it has to be low again before it is unmasked. */
static void Transfer(const struct Edu* edu, unsigned index, uint64_t source, uint64_t target,
                     uint32_t command) {
  Store(edu, EDU_DMA_SOURCE, (uint32_t)source);
  Store(edu, EDU_DMA_TARGET, (uint32_t)target);
  Store(edu, EDU_DMA_COUNT, TRANSFER);
  Store(edu, EDU_DMA_COMMAND, command | DMA_START | DMA_IRQ_WHEN_DONE);
  AwaitInterrupt(edu);
  Store(edu, EDU_IRQ_ACK, DMA_DONE);
  if (index == VFIO_PCI_INTX_IRQ_INDEX) UnmaskLine(edu->device);
}

/* Random bytes go to the device and come back, into another page. */
static void MoveByDma(const struct Edu* edu, unsigned index, const char* by) {
  SetInterrupt(edu->device, index, edu->interrupt);
  if (index == VFIO_PCI_INTX_IRQ_INDEX) UnmaskLine(edu->device);
  Check(getrandom(memory, TRANSFER, 0) == TRANSFER, "getrandom");
  Transfer(edu, index, kIova, EDU_BUFFER, 0);
  Transfer(edu, index, EDU_BUFFER, kIova + PAGE, DMA_TO_MEMORY);
  Expect(memcmp(memory, memory + PAGE, TRANSFER) == 0, "other bytes came back");
  SetInterrupt(edu->device, index, -1);
  printf("%s: %d bytes to the device and back, with %s\n", edu->address, TRANSFER, by);
}

static void MoveByBoth(const struct Edu* edu) {
  MoveByDma(edu, VFIO_PCI_INTX_IRQ_INDEX, "the line");
  if (edu->msix_count > 0) MoveByDma(edu, VFIO_PCI_MSIX_IRQ_INDEX, "MSI-X");
}

static int OpenIommu(int group) {
  int iommu = ioctl(group, VFIO_GROUP_GET_IOMMU_FD);
  Check(iommu >= 0, "VFIO_GROUP_GET_IOMMU_FD");
  CheckIommu(iommu);
  memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Check(memory != MAP_FAILED, "mmap");
  MapMemory(iommu);
  return iommu;
}

static int Merge(int group, const char* address) {
  int other = OpenGroup(address);
  Check(ioctl(group, VFIO_GROUP_MERGE, &other) == 0, "VFIO_GROUP_MERGE");
  printf("the groups are merged\n");
  return other;
}

/* Any group of those merged has the devices of all. */
static void DriveOther(int group, int other, const char* address) {
  struct Edu edu = OpenEdu(group, address);
  MoveByBoth(&edu);
  CloseEdu(&edu);
  Unmerge(group, other);
  close(other);
  printf("the groups are separate\n");
}

int main(int argc, char** argv) {
  Expect(argc == 2 || argc == 3, "usage: merge_driver ADDRESS [OTHER_ADDRESS]");
  int group = OpenGroup(argv[1]);
  int other = argc == 3 ? Merge(group, argv[2]) : -1;
  struct Edu edu = OpenEdu(group, argv[1]);
  int iommu = OpenIommu(group);
  MoveByBoth(&edu);
  if (other >= 0) DriveOther(group, other, argv[2]);
  CloseEdu(&edu);
  UnmapMemory(iommu);
  close(iommu);
  close(group);
  printf("edu works\n");
  return 0;
}
