/*
 * A user-space driver for the "copier", a DMA engine on the platform bus, written against nothing
 * but Linux's VFIO interface (vfio-platform).
 *
 *     copier_driver fe000000.copier
 *
 * It lets the device copy random bytes twice, which takes its level interrupt to be unmasked in
 * between, rings its bell, which is an edge interrupt, and shares the device's memory with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* The copier's registers in region 0, and its interrupts. */
enum { ID = 0x00, SOURCE = 0x08, TARGET = 0x10, LENGTH = 0x18, CONTROL = 0x1c, STATUS = 0x20 };
enum { ACK = 0x30, BELL = 0x34 };
enum { START = 1, RAISE_AT_END = 2, DONE = 2 };
enum { END_IRQ = 0, BELL_IRQ = 1 };
static const uint32_t kId = 0xc0b1e001;

enum { REGISTERS = 0, MEMORY = 1 };
enum { TRANSFER = 40000, ROOM = 65536, IOVA = 0x100000, WAIT_MS = 5000 };

static int container, group, device;
static struct vfio_region_info regions[2];
static unsigned char* mapped[2]; /* NULL where a region cannot be mapped */

static void Fail(const char* what) {
  fflush(stdout);
  fprintf(stderr, "%9s: %s: %s\n", "failed", what, strerror(errno));
  exit(1);
}

static void Wrong(const char* what) {
  fflush(stdout);
  fprintf(stderr, "%9s: %s\n", "wrong", what);
  exit(1);
}

/* ---- Opening the device ---- */

static void OpenGroup(const char* name) {
  char link[PATH_MAX], target[PATH_MAX];
  snprintf(link, sizeof link, "/sys/bus/platform/devices/%s/iommu_group", name);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 0) Fail(link);
  target[length] = 0;
  snprintf(link, sizeof link, "/dev/vfio/%s", strrchr(target, '/') + 1);
  container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  if (container < 0) Fail("/dev/vfio/vfio");
  group = open(link, O_RDWR | O_CLOEXEC);
  if (group < 0) Fail(link);
  if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container)) Fail("VFIO_GROUP_SET_CONTAINER");
  if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) Fail("VFIO_SET_IOMMU");
  printf("%9s: %s has the device\n", "group", link);
}

static void OpenDevice(const char* name) {
  device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
  if (device < 0) Fail("VFIO_GROUP_GET_DEVICE_FD");
  struct vfio_device_info info = {.argsz = sizeof info};
  if (ioctl(device, VFIO_DEVICE_GET_INFO, &info)) Fail("VFIO_DEVICE_GET_INFO");
  if (!(info.flags & VFIO_DEVICE_FLAGS_PLATFORM)) Wrong("this is no platform device");
  if (info.num_regions != 2 || info.num_irqs != 2) Wrong("this is no copier with memory");
  for (uint32_t i = 0; i < 2; ++i) {
    regions[i] = (struct vfio_region_info){.argsz = sizeof regions[i], .index = i};
    if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &regions[i])) Fail("GET_REGION_INFO");
    if (!(regions[i].flags & VFIO_REGION_INFO_FLAG_MMAP)) continue;
    mapped[i] = mmap(NULL, regions[i].size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
                     (off_t)regions[i].offset);
    if (mapped[i] == MAP_FAILED) Fail("mmap of a region");
  }
  printf("%9s: registers are reached by %s, memory by %s\n", "device",
         mapped[REGISTERS] ? "mmap" : "pread", mapped[MEMORY] ? "mmap" : "pread");
}

/* ---- Registers ---- */

static uint32_t Read(uint32_t at) {
  uint32_t value = 0;
  if (mapped[REGISTERS]) return *(volatile uint32_t*)(mapped[REGISTERS] + at);
  if (pread(device, &value, sizeof value, (off_t)(regions[REGISTERS].offset + at)) != sizeof value)
    Fail("pread of a register");
  return value;
}

static void Write(uint32_t at, uint32_t value) {
  if (mapped[REGISTERS])
    *(volatile uint32_t*)(mapped[REGISTERS] + at) = value;
  else if (pwrite(device, &value, sizeof value, (off_t)(regions[REGISTERS].offset + at)) !=
           sizeof value)
    Fail("pwrite of a register");
}

static void Write64(uint32_t at, uint64_t value) {
  Write(at, (uint32_t)value);
  Write(at + 4, (uint32_t)(value >> 32));
}

/* ---- Interrupts ---- */

static int Listen(uint32_t irq, uint32_t wanted_flags) {
  struct vfio_irq_info info = {.argsz = sizeof info, .index = irq};
  if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info)) Fail("VFIO_DEVICE_GET_IRQ_INFO");
  if (info.count != 1 || info.flags != wanted_flags) Wrong("an interrupt is not of its kind");
  struct {
    struct vfio_irq_set set;
    int32_t eventfd;
  } request = {{sizeof request, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, irq, 0, 1},
               eventfd(0, EFD_CLOEXEC)};
  if (request.eventfd < 0) Fail("eventfd");
  if (ioctl(device, VFIO_DEVICE_SET_IRQS, &request)) Fail("VFIO_DEVICE_SET_IRQS");
  return request.eventfd;
}

static void WaitFor(int eventfd, const char* what) {
  struct pollfd wait = {.fd = eventfd, .events = POLLIN};
  uint64_t count;
  if (poll(&wait, 1, WAIT_MS) != 1) Wrong(what);
  if (read(eventfd, &count, sizeof count) != sizeof count) Fail("read of an eventfd");
}

static void Unmask(uint32_t irq) {
  struct vfio_irq_set set = {sizeof set, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, irq,
                             0, 1};
  if (ioctl(device, VFIO_DEVICE_SET_IRQS, &set)) Fail("VFIO_DEVICE_SET_IRQS");
}

/* ---- What the device does ---- */

static void Copy(unsigned char* memory, int end) {
  if (getrandom(memory, TRANSFER, 0) != TRANSFER) Fail("getrandom");
  memset(memory + ROOM, 0, ROOM);
  Write64(SOURCE, IOVA);
  Write64(TARGET, IOVA + ROOM);
  Write(LENGTH, TRANSFER);
  Write(CONTROL, START | RAISE_AT_END);
  WaitFor(end, "no interrupt at the end of a copy");
  if (Read(STATUS) != DONE) Wrong("the copy has failed");
  Write(ACK, DONE);
  Unmask(END_IRQ); /* it has masked itself */
  if (memcmp(memory, memory + ROOM, TRANSFER) != 0) Wrong("the copy differs");
  for (size_t i = TRANSFER; i < ROOM; ++i)
    if (memory[ROOM + i] != 0) Wrong("bytes beyond the copy were written");
}

static void ShareMemory(void) {
  unsigned char out[256], back[256];
  const off_t at = (off_t)regions[MEMORY].offset + 4096;
  if (getrandom(out, sizeof out, 0) != sizeof out) Fail("getrandom");
  if (pwrite(device, out, sizeof out, at) != sizeof out) Fail("pwrite of memory");
  if (pread(device, back, sizeof back, at) != sizeof back) Fail("pread of memory");
  if (memcmp(out, back, sizeof out) != 0) Wrong("memory does not keep what is written");
  if (!mapped[MEMORY]) return;
  if (memcmp(mapped[MEMORY] + 4096, out, sizeof out) != 0) Wrong("mapped memory is another");
  for (size_t i = 0; i < sizeof out; ++i) mapped[MEMORY][4096 + i] = (unsigned char)~out[i];
  if (pread(device, back, sizeof back, at) != sizeof back) Fail("pread of memory");
  if (memcmp(mapped[MEMORY] + 4096, back, sizeof back) != 0) Wrong("a store does not arrive");
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: copier_driver DEVICE, like fe000000.copier\n");
    return 2;
  }
  OpenGroup(argv[1]);
  OpenDevice(argv[1]);
  if (Read(ID) != kId) Wrong("this is no copier");
  const int end =
      Listen(END_IRQ, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED);
  const int bell = Listen(BELL_IRQ, VFIO_IRQ_INFO_EVENTFD);

  unsigned char* memory =
      mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  struct vfio_iommu_type1_dma_map map = {.argsz = sizeof map,
                                         .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                         .vaddr = (uintptr_t)memory,
                                         .iova = IOVA,
                                         .size = 2 * ROOM};
  if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map)) Fail("VFIO_IOMMU_MAP_DMA");
  Copy(memory, end);
  Copy(memory, end);
  printf("%9s: %d random bytes were copied, twice\n", "dma", TRANSFER);
  Write(BELL, 1);
  WaitFor(bell, "no interrupt of the bell");
  printf("%9s: the bell has rung\n", "interrupt");
  ShareMemory();
  printf("%9s: what is written is there\n", "memory");
  if (ioctl(device, VFIO_DEVICE_RESET)) Fail("VFIO_DEVICE_RESET");
  if (Read(LENGTH) != 0) Wrong("a register survives a reset");
  printf("%9s: everything worked\n", "done");
  return 0;
}
