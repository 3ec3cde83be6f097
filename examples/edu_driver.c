/*
 * A complete user-space driver for QEMU's "edu" device, written against nothing but Linux's VFIO
 * interface.
 *
 *     edu_driver 0000:01:00.0
 *
 * It does what every VFIO driver does: finds the device's IOMMU group, puts the group into a
 * container, picks an IOMMU model, gets a descriptor for the device, and then uses registers, an
 * interrupt and DMA.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* edu's registers in BAR0, and the two places of PCI configuration space that we touch. */
enum { EDU_ID = 0x00, EDU_LIVENESS = 0x04, EDU_FACTORIAL = 0x08, EDU_STATUS = 0x20 };
enum { EDU_IRQ_STATUS = 0x24, EDU_IRQ_ACK = 0x64 };
enum { EDU_DMA_SOURCE = 0x80, EDU_DMA_TARGET = 0x88, EDU_DMA_COUNT = 0x90, EDU_DMA_COMMAND = 0x98 };
enum { STATUS_IRQ_AFTER_FACTORIAL = 0x80 };
enum { EDU_BUFFER = 0x40000 }; /* the device's own memory, as its DMA engine addresses it */
enum { DMA_START = 1, DMA_TO_MEMORY = 2, DMA_IRQ_WHEN_DONE = 4 };
enum { PCI_ID = 0x00, PCI_COMMAND = 0x04, PCI_COMMAND_MEMORY_AND_MASTER = 0x06 };

/* A transfer is less than edu's whole buffer: QEMU 7 aborts on one that ends where the buffer does.
 */
enum { PAGE = 4096, TRANSFER = 2048, IOVA = 0x100000, WAIT_MS = 5000 };

static int container, group, device, interrupt;
static uint64_t bar_offset, config_offset; /* where the device's file has BAR0 and config space */
static volatile uint32_t* bar;             /* BAR0 in our memory, or NULL if it cannot be mapped */

/* ---- Telling what happens ---- */

__attribute__((format(printf, 2, 3))) static void Say(const char* step, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("%9s: ", step);
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
}

static void Fail(const char* call, const char* remedy) {
  fflush(stdout);
  fprintf(stderr, "%9s: %s: %s\n", "failed", call, strerror(errno));
  if (remedy) fprintf(stderr, "%9s: %s\n", "try", remedy);
  exit(1);
}

static void Wrong(const char* what, uint32_t got, uint32_t expected) {
  fflush(stdout);
  fprintf(stderr, "%9s: %s is %#x instead of %#x\n", "failed", what, got, expected);
  exit(1);
}

/* ---- Opening the device ---- */

static int FindGroup(const char* address) {
  char link[PATH_MAX], target[PATH_MAX];
  snprintf(link, sizeof link, "/sys/bus/pci/devices/%s/iommu_group", address);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 0) Fail(link, "check the address with lspci -D; if it is right, turn the IOMMU on");
  target[length] = 0;
  int number = atoi(strrchr(target, '/') + 1);
  Say("group", "%s is in IOMMU group %d", address, number);
  return number;
}

static void OpenContainer(void) {
  container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  if (container < 0) Fail("open /dev/vfio/vfio", "load the driver: modprobe vfio-pci");
  int version = ioctl(container, VFIO_GET_API_VERSION);
  if (version != VFIO_API_VERSION) Wrong("the VFIO API", (uint32_t)version, VFIO_API_VERSION);
  if (ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0)
    Fail("VFIO_CHECK_EXTENSION type1 v2", "load the driver: modprobe vfio_iommu_type1");
  Say("container", "API version %d, the type1 v2 IOMMU model is there", version);
}

static void OpenGroup(int number) {
  char path[64];
  snprintf(path, sizeof path, "/dev/vfio/%d", number);
  group = open(path, O_RDWR | O_CLOEXEC);
  if (group < 0)
    Fail(path,
         errno == ENOENT   ? "bind the device to vfio-pci: driverctl set-override ADDRESS vfio-pci"
         : errno == EBUSY  ? "another program has this group open: end it first"
         : errno == EACCES ? "run as root, or give yourself the file: sudo chown $USER /dev/vfio/N"
                           : NULL);
  struct vfio_group_status status = {.argsz = sizeof status};
  if (ioctl(group, VFIO_GROUP_GET_STATUS, &status)) Fail("VFIO_GROUP_GET_STATUS", NULL);
  if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
    errno = EPERM;
    Fail("the group is not viable", "bind all its devices to vfio-pci, or to no driver at all");
  }
  if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container)) Fail("VFIO_GROUP_SET_CONTAINER", NULL);
  if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
    Fail("VFIO_SET_IOMMU", errno == EPERM ? "enable interrupt remapping in the firmware" : NULL);
  Say("group", "viable, now in the container");
}

static struct vfio_region_info GetRegion(uint32_t index) {
  struct vfio_region_info region = {.argsz = sizeof region, .index = index};
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
    Fail("VFIO_DEVICE_GET_REGION_INFO", NULL);
  return region;
}

static void OpenDevice(const char* address) {
  device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
  if (device < 0)
    Fail("VFIO_GROUP_GET_DEVICE_FD", errno == ENODEV ? "bind this device to vfio-pci" : NULL);
  struct vfio_device_info info = {.argsz = sizeof info};
  if (ioctl(device, VFIO_DEVICE_GET_INFO, &info)) Fail("VFIO_DEVICE_GET_INFO", NULL);
  Say("device", "open: %u regions, %u kinds of interrupt", info.num_regions, info.num_irqs);

  config_offset = GetRegion(VFIO_PCI_CONFIG_REGION_INDEX).offset;
  struct vfio_region_info bar0 = GetRegion(VFIO_PCI_BAR0_REGION_INDEX);
  bar_offset = bar0.offset;
  if (bar0.flags & VFIO_REGION_INFO_FLAG_MMAP) {
    void* mapped =
        mmap(NULL, bar0.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)bar0.offset);
    if (mapped == MAP_FAILED) Fail("mmap of BAR0", NULL);
    bar = mapped;
  }
  Say("registers", "BAR0 has %llu KiB, reached by %s", (unsigned long long)bar0.size / 1024,
      bar ? "loads and stores (mmap)" : "pread and pwrite");
}

/* ---- Registers ---- */

static uint32_t ReadRegister(uint32_t offset) {
  if (bar) return bar[offset / 4];
  uint32_t value;
  if (pread(device, &value, sizeof value, (off_t)(bar_offset + offset)) != sizeof value)
    Fail("pread of BAR0", NULL);
  return value;
}

static void WriteRegister(uint32_t offset, uint32_t value) {
  if (bar)
    bar[offset / 4] = value;
  else if (pwrite(device, &value, sizeof value, (off_t)(bar_offset + offset)) != sizeof value)
    Fail("pwrite of BAR0", NULL);
}

/* VFIO hands a device over with bus mastering off: until we set that bit it can send neither DMA
 * nor an MSI. */
static void EnableBusMaster(void) {
  uint32_t id;
  uint16_t command;
  if (pread(device, &id, sizeof id, (off_t)config_offset + PCI_ID) != sizeof id)
    Fail("pread of the PCI ID", NULL);
  if (id != 0x11e81234) Wrong("the PCI ID (device, vendor)", id, 0x11e81234);
  off_t where = (off_t)config_offset + PCI_COMMAND;
  if (pread(device, &command, sizeof command, where) != sizeof command)
    Fail("pread of COMMAND", NULL);
  uint16_t wanted = command | PCI_COMMAND_MEMORY_AND_MASTER;
  if (pwrite(device, &wanted, sizeof wanted, where) != sizeof wanted)
    Fail("pwrite of COMMAND", NULL);
  Say("config", "PCI ID 1234:11e8, COMMAND %#06x -> %#06x (memory and bus master on)", command,
      wanted);
}

static void Identify(void) {
  uint32_t id = ReadRegister(EDU_ID);
  if ((id & 0xffff) != 0x00ed) Wrong("edu's identification register", id, 0x010000ed);
  WriteRegister(EDU_LIVENESS, 0x12345678);
  uint32_t answer = ReadRegister(EDU_LIVENESS);
  if (answer != ~0x12345678u) Wrong("the liveness register", answer, ~0x12345678u);
  Say("registers", "edu version %u.%u is alive: wrote 0x12345678, read %#x", id >> 24,
      id >> 16 & 0xff, answer);
}

/* ---- Interrupts ---- */

/* Each MSI the device sends adds one to an eventfd, which a program can read, poll or put into
 * epoll. */
static void EnableMsi(void) {
  interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (interrupt < 0) Fail("eventfd", NULL);
  struct vfio_irq_set* set = calloc(1, sizeof *set + sizeof interrupt);
  if (!set) Fail("calloc", NULL);
  set->argsz = sizeof *set + sizeof interrupt;
  set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  set->index = VFIO_PCI_MSI_IRQ_INDEX;
  set->count = 1;
  memcpy(set->data, &interrupt, sizeof interrupt);
  if (ioctl(device, VFIO_DEVICE_SET_IRQS, set)) Fail("VFIO_DEVICE_SET_IRQS", NULL);
  free(set);
  Say("interrupt", "MSI vector 0 now signals an eventfd");
}

/* Waits for one MSI and tells the device that we have seen it. */
static void WaitForInterrupt(const char* of) {
  struct pollfd waiting = {.fd = interrupt, .events = POLLIN};
  int ready = poll(&waiting, 1, WAIT_MS);
  if (ready == 0) errno = ETIMEDOUT;
  if (ready <= 0) Fail(of, "did the device lose bus mastering? without it no MSI can be sent");
  uint64_t times;
  if (read(interrupt, &times, sizeof times) != sizeof times) Fail("read of the eventfd", NULL);
  uint32_t reason = ReadRegister(EDU_IRQ_STATUS);
  WriteRegister(EDU_IRQ_ACK, reason);
  Say("interrupt", "%s, reason %#x, acknowledged", of, reason);
}

static void Random(void* bytes, size_t count) {
  if (getrandom(bytes, count, 0) != (ssize_t)count) Fail("getrandom", NULL);
}

static void ComputeFactorial(void) {
  uint32_t n, expected = 1;
  Random(&n, sizeof n);
  n = n % 12 + 1; /* 12! is the largest that fits into 32 bits */
  for (uint32_t i = 2; i <= n; i++) expected *= i;
  WriteRegister(EDU_STATUS, STATUS_IRQ_AFTER_FACTORIAL);
  WriteRegister(EDU_FACTORIAL, n);
  Say("factorial", "asked the device for %u!", n);
  WaitForInterrupt("the factorial is ready");
  uint32_t result = ReadRegister(EDU_FACTORIAL);
  if (result != expected) Wrong("the factorial", result, expected);
  Say("factorial", "%u! = %u, correct", n, result);
}

/* ---- DMA ---- */

/* The device does not know our addresses: it uses IOVAs, and reaches only what we map for it. */
static void MapForDma(void* memory, uint64_t iova, size_t size) {
  struct vfio_iommu_type1_dma_map map = {
      .argsz = sizeof map,
      .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
      .vaddr = (uintptr_t)memory,
      .iova = iova,
      .size = size,
  };
  if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
    Fail("VFIO_IOMMU_MAP_DMA", errno == ENOMEM ? "raise the limit of ulimit -l" : NULL);
  Say("dma", "%zu KiB at address %p are at IOVA %#llx for the device", size / 1024, memory,
      (unsigned long long)iova);
}

static void RunDma(uint32_t source, uint32_t target, uint32_t command, const char* what) {
  WriteRegister(EDU_DMA_SOURCE, source);
  WriteRegister(EDU_DMA_TARGET, target);
  WriteRegister(EDU_DMA_COUNT, TRANSFER);
  WriteRegister(EDU_DMA_COMMAND, command | DMA_START | DMA_IRQ_WHEN_DONE);
  WaitForInterrupt(what);
}

static void RoundTrip(void) {
  uint8_t* memory =
      mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap of two pages", NULL);
  uint8_t *sent = memory, *received = memory + PAGE;
  Random(sent, TRANSFER);
  MapForDma(memory, IOVA, 2 * PAGE);
  RunDma(IOVA, EDU_BUFFER, 0, "memory -> edu is done");
  RunDma(EDU_BUFFER, IOVA + PAGE, DMA_TO_MEMORY, "edu -> memory is done");
  for (int i = 0; i < TRANSFER; i++)
    if (received[i] != sent[i]) Wrong("a byte that came back", received[i], sent[i]);
  Say("dma", "%d random bytes went to the device and came back unchanged", TRANSFER);

  struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof unmap, .iova = IOVA, .size = 2 * PAGE};
  if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap)) Fail("VFIO_IOMMU_UNMAP_DMA", NULL);
  if (unmap.size != 2 * PAGE) Wrong("the number of bytes unmapped", (uint32_t)unmap.size, 2 * PAGE);
  munmap(memory, 2 * PAGE);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s PCI-ADDRESS   (of an edu device, such as 0000:01:00.0)\n", argv[0]);
    return 1;
  }
  OpenContainer();
  OpenGroup(FindGroup(argv[1]));
  OpenDevice(argv[1]);
  EnableBusMaster();
  Identify();
  EnableMsi();
  ComputeFactorial();
  RoundTrip();
  close(device);
  close(group);
  close(container);
  Say("done", "everything worked");
  return 0;
}
