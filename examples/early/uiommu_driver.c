/*
 * A user-space driver for QEMU's "edu" device as one was written in 2010 and 2011, when VFIO had a
 * node for each device and /dev/uiommu.
 *
 *     uiommu_driver 0000:01:00.0 [until-removed]
 *
 * It finds the device's node, registers for its events, puts the device into an IOMMU domain, maps
 * memory for DMA and takes an interrupt, by MSI-X where the device has it, then by its line. With
 * the second word it then waits until the device is to be taken away, and gives it back. Compile
 * it, with uiommu_client.c, with -I examples/early/include/REVISION.
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

#include "uiommu_client.h"

#ifdef VFIO_MAP_DMA /* the names of July 2011 */
#define VFIO_DMA_MAP_IOVA VFIO_MAP_DMA
#define VFIO_DMA_UNMAP VFIO_UNMAP_DMA
#define VFIO_EVENTFD_IRQ VFIO_SET_IRQ_EVENTFD
#define VFIO_EVENTFDS_MSIX VFIO_SET_MSIX_EVENTFDS
#define VFIO_BAR_LEN VFIO_GET_BAR_LEN
#define VFIO_DOMAIN_SET VFIO_SET_UIOMMU_DOMAIN
#define VFIO_IRQ_EOI VFIO_UNMASK_IRQ
#endif

enum { EDU_ID = 0x00, EDU_IRQ_RAISE = 0x60, EDU_IRQ_ACK = 0x64 };
enum { EDU_DMA_SOURCE = 0x80, EDU_DMA_TARGET = 0x88, EDU_DMA_COUNT = 0x90, EDU_DMA_COMMAND = 0x98 };
enum { DMA_START = 1, DMA_TO_MEMORY = 2, DMA_IRQ_WHEN_DONE = 4, EDU_BUFFER = 0x40000 };
enum { PCI_COMMAND = 0x04, PCI_CAPABILITIES = 0x34, CAPABILITY_MSIX = 0x11 };
enum { COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_INTX_DISABLE = 0x400 };
enum { PAGE = 4096, TRANSFER = 2048, WAIT_MS = 5000 };
/* Addresses are taken from there downwards. */
static const uint64_t kTopOfIova = 0xF0000000;

static int device, interrupt;
static volatile uint32_t* registers; /* BAR0, or NULL where it cannot be mapped */
static size_t register_bytes;

static uint32_t ConfigRead(unsigned at, unsigned width) {
  uint32_t value = 0;
  Check(pread(device, &value, width, (off_t)(VFIO_PCI_CONFIG_OFF + at)) == (ssize_t)width,
        "read config space");
  return value;
}

static void ConfigWrite(unsigned at, unsigned width, uint32_t value) {
  Check(pwrite(device, &value, width, (off_t)(VFIO_PCI_CONFIG_OFF + at)) == (ssize_t)width,
        "write config space");
}

static uint32_t Load(unsigned at) {
  uint32_t value = 0;
  if (registers) return registers[at / 4];
  Check(pread(device, &value, 4, (off_t)at) == 4, "read a register");
  return value;
}

static void Store(unsigned at, uint32_t value) {
  if (registers)
    registers[at / 4] = value;
  else
    Check(pwrite(device, &value, 4, (off_t)at) == 4, "write a register");
}

static void EnterDomain(void) {
  int uiommu = open("/dev/uiommu", O_RDONLY);
  Check(uiommu >= 0, "/dev/uiommu");
  Check(ioctl(device, VFIO_DOMAIN_SET, &uiommu) == 0, "VFIO_DOMAIN_SET");
}

static void MapRegisters(void) {
  uint64_t length = VFIO_PCI_BAR0_RESOURCE;
  Check(ioctl(device, VFIO_BAR_LEN, &length) == 0, "VFIO_BAR_LEN");
  void* at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, device,
                  (off_t)vfio_pci_space_to_offset(VFIO_PCI_BAR0_RESOURCE));
  registers = at == MAP_FAILED ? NULL : at;
  register_bytes = length;
  printf("BAR0 has %llu bytes, %s\n", (unsigned long long)length,
         registers ? "mapped" : "read and written");
  Check((Load(EDU_ID) & 0xff) == 0xed, "this is no edu");
}

static void AwaitInterrupt(void) {
  struct pollfd ready = {interrupt, POLLIN, 0};
  uint64_t count = 0;
  Check(poll(&ready, 1, WAIT_MS) == 1 && read(interrupt, &count, sizeof count) == sizeof count,
        "no interrupt came");
}

static void Transfer(uint64_t source, uint64_t target, uint32_t command) {
  Store(EDU_DMA_SOURCE, (uint32_t)source);
  Store(EDU_DMA_TARGET, (uint32_t)target);
  Store(EDU_DMA_COUNT, TRANSFER);
  Store(EDU_DMA_COMMAND, command | DMA_START | DMA_IRQ_WHEN_DONE);
  AwaitInterrupt();
  Store(EDU_IRQ_ACK, 0x100);
}

/* Random bytes go to the device and come back, into another page. */
static void MoveByDma(const char* by) {
  struct vfio_dma_map map = {0, kTopOfIova - 2 * PAGE, 2 * PAGE, VFIO_FLAG_WRITE};
  unsigned char* memory =
      mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Check(memory != MAP_FAILED, "mmap");
  Check(getrandom(memory, PAGE, 0) == PAGE, "getrandom");
  map.vaddr = (uintptr_t)memory;
  Check(ioctl(device, VFIO_DMA_MAP_IOVA, &map) == 0, "VFIO_DMA_MAP_IOVA");
  Transfer(map.dmaaddr, EDU_BUFFER, 0);
  Transfer(EDU_BUFFER, map.dmaaddr + PAGE, DMA_TO_MEMORY);
  errno = 0;
  Check(memcmp(memory, memory + PAGE, TRANSFER) == 0, "other bytes came back");
  Check(ioctl(device, VFIO_DMA_UNMAP, &map) == 0, "VFIO_DMA_UNMAP");
  munmap(memory, 2 * PAGE);
  printf("%d bytes to the device and back, with %s\n", TRANSFER, by);
}

static int HasMsix(void) {
  for (unsigned at = ConfigRead(PCI_CAPABILITIES, 1); at != 0; at = ConfigRead(at + 1, 1))
    if (ConfigRead(at, 1) == CAPABILITY_MSIX) return 1;
  return 0;
}

static void WithMsix(void) {
  int vectors[2] = {1, interrupt}, none = 0;
  Check(ioctl(device, VFIO_EVENTFDS_MSIX, vectors) == 0, "VFIO_EVENTFDS_MSIX");
  MoveByDma("MSI-X");
  Check(ioctl(device, VFIO_EVENTFDS_MSIX, &none) == 0, "VFIO_EVENTFDS_MSIX, none");
}

/* Before VFIO_IRQ_EOI the interrupt was unmasked where it is disabled, in COMMAND. */
static void Unmask(void) {
#ifdef VFIO_IRQ_EOI
  Check(ioctl(device, VFIO_IRQ_EOI) == 0, "VFIO_IRQ_EOI");
#else
  ConfigWrite(PCI_COMMAND, 2, ConfigRead(PCI_COMMAND, 2) & ~(uint32_t)COMMAND_INTX_DISABLE);
#endif
}

static void WithLine(void) {
  Check(ioctl(device, VFIO_EVENTFD_IRQ, &interrupt) == 0, "VFIO_EVENTFD_IRQ");
  for (int i = 0; i < 2; i++) {
    Store(EDU_IRQ_RAISE, 1);
    AwaitInterrupt();
    Store(EDU_IRQ_ACK, 1);
    Unmask();
  }
  int none = -1;
  Check(ioctl(device, VFIO_EVENTFD_IRQ, &none) == 0, "VFIO_EVENTFD_IRQ, none");
  printf("two interrupts by the line\n");
}

/* What waits for the device goes on when it is closed. */
static void AwaitRemoval(void) {
  while (ReceiveEvent().command != VFIO_MSG_REMOVE) continue;
  if (registers) munmap((void*)registers, register_bytes);
  close(device);
  printf("edu is given back\n");
}

int main(int argc, char** argv) {
  const int until_removed = argc == 3 && strcmp(argv[2], "until-removed") == 0;
  errno = EINVAL;
  Check(argc == 2 || until_removed, "usage: uiommu_driver ADDRESS [until-removed]");
  setvbuf(stdout, NULL, _IOLBF, 0);
  device = OpenDevice(argv[1]);
  RegisterForEvents(argv[1]);
  EnterDomain();
  ConfigWrite(PCI_COMMAND, 2, ConfigRead(PCI_COMMAND, 2) | COMMAND_MEMORY | COMMAND_MASTER);
  MapRegisters();
  interrupt = eventfd(0, EFD_CLOEXEC);
  Check(interrupt >= 0, "eventfd");
  if (HasMsix()) WithMsix();
  WithLine();
  printf("edu works\n");
  if (until_removed) AwaitRemoval();
  return 0;
}
