/*
 * A user-space driver for QEMU's "edu" device as it might have been written after the debate of
 * August 2011. It takes what the machine's policies offer: memory mapped on the group or by way of
 * /dev/uiommu, regions in one descriptor or in one for each.
 *
 *     august_driver 0000:01:00.0 [0000:02:00.0]
 *
 * The group of the second device is bound to that of the first, so that both see the same memory.
 * Compile it with -I examples/early/include/A-aug.
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
enum { DMA_DONE = 0x100, PCI_COMMAND = 4, COMMAND_MEMORY = 2, COMMAND_MASTER = 4 };
enum { PAGE = 4096, PAGES = 2, TRANSFER = 2048, WAIT_MS = 5000 };
static const uint64_t kIova = 0x08000000;

struct Edu {
  const char* address;
  int group, device, bar0, config; /* descriptors; the last two may be the device's */
  uint64_t bar0_at, config_at;     /* in theirs */
  int interrupt;
};

static unsigned char* memory; /* a page to send and a page to receive */

static void Check(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static uint32_t Load(const struct Edu* edu, unsigned at) {
  uint32_t value = 0;
  Check(pread(edu->bar0, &value, 4, (off_t)(edu->bar0_at + at)) == 4, "read a register");
  return value;
}

static void Store(const struct Edu* edu, unsigned at, uint32_t value) {
  Check(pwrite(edu->bar0, &value, 4, (off_t)(edu->bar0_at + at)) == 4, "write a register");
}

static int OpenGroup(const char* address) {
  char path[300];
  unsigned id = 0;
  uint64_t flags = 0;
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/iommu_group", address);
  FILE* file = fopen(path, "r");
  Check(file != NULL && fscanf(file, "%u", &id) == 1, path);
  fclose(file);
  snprintf(path, sizeof path, "/dev/vfio/%u", id);
  int group = open(path, O_RDWR);
  Check(group >= 0, path);
  Check(ioctl(group, VFIO_GROUP_GET_FLAGS, &flags) == 0, "VFIO_GROUP_GET_FLAGS");
  errno = EBUSY;
  Check((flags & VFIO_GROUP_FLAGS_VIABLE) != 0, "a device of the group is not bound to vfio");
  return group;
}

static uint64_t OffsetOf(int device, unsigned index) {
  struct vfio_region_info info = {.index = index};
  Check(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "VFIO_DEVICE_GET_REGION_INFO");
  return info.offset;
}

static void OpenRegions(struct Edu* edu) {
  int index = VFIO_PCI_BAR0_REGION_INDEX;
  edu->bar0 = ioctl(edu->device, VFIO_DEVICE_GET_PCI_BAR_FD, &index);
  if (edu->bar0 >= 0) {
    edu->config = ioctl(edu->device, VFIO_DEVICE_GET_PCI_CONFIG_FD);
    Check(edu->config >= 0, "VFIO_DEVICE_GET_PCI_CONFIG_FD");
    printf("%s has a descriptor for each region\n", edu->address);
    return;
  }
  Check(errno == ENOTTY, "VFIO_DEVICE_GET_PCI_BAR_FD");
  edu->bar0 = edu->config = edu->device;
  edu->bar0_at = OffsetOf(edu->device, VFIO_PCI_BAR0_REGION_INDEX);
  edu->config_at = OffsetOf(edu->device, VFIO_PCI_CONFIG_REGION_INDEX);
}

static struct Edu OpenEdu(const char* address) {
  struct Edu edu = {.address = address, .group = OpenGroup(address)};
  uint16_t command = COMMAND_MEMORY | COMMAND_MASTER;
  edu.device = ioctl(edu.group, VFIO_GROUP_GET_DEVICE_FD, address);
  Check(edu.device >= 0, "VFIO_GROUP_GET_DEVICE_FD");
  OpenRegions(&edu);
  Check(pwrite(edu.config, &command, 2, (off_t)(edu.config_at + PCI_COMMAND)) == 2, "write config");
  errno = ENODEV;
  Check((Load(&edu, EDU_ID) & 0xff) == 0xed, "this is no edu");
  edu.interrupt = eventfd(0, EFD_CLOEXEC);
  int set[3] = {VFIO_PCI_INTX_IRQ_INDEX, 1, edu.interrupt};
  Check(ioctl(edu.device, VFIO_DEVICE_SET_IRQ_EVENTFDS, set) == 0, "VFIO_DEVICE_SET_IRQ_EVENTFDS");
  return edu;
}

/* On the group, or on the device, which is in a uiommu then. */
static void MapMemory(const struct Edu* edu, int uiommu) {
  memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Check(memory != MAP_FAILED, "mmap");
  struct vfio_dma_map map = {(uintptr_t)memory, kIova, PAGES * PAGE, VFIO_FLAG_WRITE};
  if (uiommu < 0) {
    Check(ioctl(edu->group, VFIO_GROUP_MAP_DMA, &map) == 0, "VFIO_GROUP_MAP_DMA");
    return;
  }
  Check(ioctl(edu->device, VFIO_DEVICE_SET_UIOMMU, &uiommu) == 0, "VFIO_DEVICE_SET_UIOMMU");
  Check(ioctl(edu->device, VFIO_DEVICE_MAP_DMA, &map) == 0, "VFIO_DEVICE_MAP_DMA");
  printf("memory is mapped in a uiommu\n");
}

static void Join(const struct Edu* edu, const struct Edu* first, int uiommu) {
  if (uiommu >= 0)
    Check(ioctl(edu->device, VFIO_DEVICE_SET_UIOMMU, &uiommu) == 0, "VFIO_DEVICE_SET_UIOMMU");
  else
    Check(ioctl(edu->group, VFIO_GROUP_BIND, &first->group) == 0, "VFIO_GROUP_BIND");
  printf("%s sees what %s sees\n", edu->address, first->address);
}

static void Transfer(const struct Edu* edu, uint64_t source, uint64_t target, uint32_t command) {
  struct pollfd ready = {edu->interrupt, POLLIN, 0};
  uint64_t count = 0;
  int index = VFIO_PCI_INTX_IRQ_INDEX;
  Store(edu, EDU_DMA_SOURCE, (uint32_t)source);
  Store(edu, EDU_DMA_TARGET, (uint32_t)target);
  Store(edu, EDU_DMA_COUNT, TRANSFER);
  Store(edu, EDU_DMA_COMMAND, command | DMA_START | DMA_IRQ_WHEN_DONE);
  errno = ETIMEDOUT;
  Check(poll(&ready, 1, WAIT_MS) == 1 && read(edu->interrupt, &count, 8) == 8, "no interrupt came");
  Store(edu, EDU_IRQ_ACK, DMA_DONE);
  Check(ioctl(edu->device, VFIO_DEVICE_UNMASK_IRQ, &index) == 0, "VFIO_DEVICE_UNMASK_IRQ");
}

/* Random bytes go to the device and come back, into another page. */
static void MoveByDma(const struct Edu* edu) {
  Check(getrandom(memory, TRANSFER, 0) == TRANSFER, "getrandom");
  Transfer(edu, kIova, EDU_BUFFER, 0);
  Transfer(edu, EDU_BUFFER, kIova + PAGE, DMA_TO_MEMORY);
  errno = EIO;
  Check(memcmp(memory, memory + PAGE, TRANSFER) == 0, "other bytes came back");
  printf("%s: %d bytes to the device and back\n", edu->address, TRANSFER);
}

int main(int argc, char** argv) {
  errno = EINVAL;
  Check(argc == 2 || argc == 3, "usage: august_driver ADDRESS [OTHER_ADDRESS]");
  int uiommu = open("/dev/uiommu", O_RDONLY);
  struct Edu edu = OpenEdu(argv[1]);
  MapMemory(&edu, uiommu);
  MoveByDma(&edu);
  if (argc == 3) {
    struct Edu other = OpenEdu(argv[2]);
    Join(&other, &edu, uiommu);
    MoveByDma(&other);
  }
  printf("edu works\n");
  return 0;
}
