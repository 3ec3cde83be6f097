/*
 * A VFIO client without a C library: nothing can be put between it and the kernel but the kernel's
 * own means. It drives QEMU's edu device: registers, an MSI, a DMA round trip.
 *
 *     gcc -O1 -nostdlib -static -ffreestanding -fno-stack-protector raw_syscalls.c -o raw_syscalls
 *     raw_syscalls PCI-ADDRESS GROUP-NUMBER
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/vfio.h>

#define NULL ((void*)0)

enum { PAGE = 4096, TRANSFER = 1024, IOVA = 0x200000 };
enum { EDU_ID = 0x00, EDU_LIVENESS = 0x04, EDU_IRQ_RAISE = 0x60, EDU_IRQ_ACK = 0x64 };
enum { EDU_DMA_SOURCE = 0x80, EDU_DMA_TARGET = 0x88, EDU_DMA_COUNT = 0x90, EDU_DMA_COMMAND = 0x98 };
enum { EDU_BUFFER = 0x40000, DMA_START = 1, DMA_TO_MEMORY = 2 };
enum { PCI_COMMAND = 4, PCI_COMMAND_MEMORY_AND_MASTER = 6 };
enum { POLL_IN = 1, PROTECTION_READ_WRITE = 3 };

struct Poll {
  int fd;
  short events, returned;
};

static long container, group, device;
static unsigned long bar, config;

/* ---- System calls ---- */

#if defined(__x86_64__)
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call Main\n");

static long Call(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov x0, sp\n"
    "  bl Main\n");

static long Call(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
}
#else
#error "system calls of this processor are not known here"
#endif

/* The compiler may call these for structures, though there is no library. */
void* memset(void* to, int value, unsigned long size) {
  for (volatile char* p = to; size--; p++) *p = (char)value;
  return to;
}
void* memcpy(void* to, const void* from, unsigned long size) {
  const char* source = from;
  for (volatile char* p = to; size--; p++) *p = *source++;
  return to;
}

static void Print(const char* text) {
  long length = 0;
  while (text[length]) length++;
  Call(__NR_write, 1, (long)text, length, 0, 0, 0);
}

__attribute__((noreturn)) static void Exit(long status) {
  for (;;) Call(__NR_exit_group, status, 0, 0, 0, 0, 0);
}

/* Every step of this program is needed by the next one. */
static void Require(int holds, const char* step) {
  Print(holds ? "ok      " : "failed  ");
  Print(step);
  Print("\n");
  if (!holds) Exit(1);
}

static long Open(const char* path) {
  return Call(__NR_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0, 0);
}
static long Ioctl(long fd, unsigned long command, const void* argument) {
  return Call(__NR_ioctl, fd, (long)command, (long)argument, 0, 0, 0);
}

/* ---- Getting at the device ---- */

static void OpenGroup(const char* number) {
  char path[64] = "/dev/vfio/";
  for (int i = 10; *number && i < 63; i++) path[i] = *number++;
  group = Open(path);
  Require(group >= 0, "open of the group");
  struct vfio_group_status status = {.argsz = sizeof status};
  Require(Ioctl(group, VFIO_GROUP_GET_STATUS, &status) == 0, "GROUP_GET_STATUS");
  Require(status.flags == VFIO_GROUP_FLAGS_VIABLE, "the group is viable and in no container");
}

static void SetUpContainer(void) {
  int number = (int)container;
  Require(Ioctl(container, VFIO_GET_API_VERSION, NULL) == VFIO_API_VERSION, "GET_API_VERSION");
  Require(Ioctl(container, VFIO_CHECK_EXTENSION, (void*)VFIO_TYPE1v2_IOMMU) == 1,
          "CHECK_EXTENSION of type1 v2");
  Require(Ioctl(group, VFIO_GROUP_SET_CONTAINER, &number) == 0, "GROUP_SET_CONTAINER");
  Require(Ioctl(container, VFIO_SET_IOMMU, (void*)VFIO_TYPE1v2_IOMMU) == 0, "SET_IOMMU");
}

static unsigned long RegionOffset(__u32 index) {
  struct vfio_region_info info = {.argsz = sizeof info, .index = index};
  Require(Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0, "DEVICE_GET_REGION_INFO");
  Require(info.size != 0, "the region is there");
  return info.offset;
}

static void OpenDevice(const char* address) {
  __u16 command = 0;
  device = Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
  Require(device >= 0, "GROUP_GET_DEVICE_FD");
  bar = RegionOffset(VFIO_PCI_BAR0_REGION_INDEX);
  config = RegionOffset(VFIO_PCI_CONFIG_REGION_INDEX);
  long where = (long)config + PCI_COMMAND;
  Require(Call(__NR_pread64, device, (long)&command, 2, where, 0, 0) == 2, "read of COMMAND");
  command |= PCI_COMMAND_MEMORY_AND_MASTER;
  Require(Call(__NR_pwrite64, device, (long)&command, 2, where, 0, 0) == 2, "write of COMMAND");
}

static __u32 ReadRegister(unsigned long at) {
  __u32 value = 0;
  if (Call(__NR_pread64, device, (long)&value, 4, (long)(bar + at), 0, 0) != 4)
    Require(0, "read of a register");
  return value;
}
static void WriteRegister(unsigned long at, __u32 value) {
  if (Call(__NR_pwrite64, device, (long)&value, 4, (long)(bar + at), 0, 0) != 4)
    Require(0, "write of a register");
}

/* ---- Using it ---- */

static void UseRegisters(void) {
  Require((ReadRegister(EDU_ID) & 0xffff) == 0x00ed, "the device is an edu");
  WriteRegister(EDU_LIVENESS, 0x5a5a0f0f);
  Require(ReadRegister(EDU_LIVENESS) == ~0x5a5a0f0fu, "its liveness register answers");
}

static void TakeInterrupt(void) {
  /* struct vfio_irq_set with one descriptor behind it: argsz, flags, index, start, count, data. */
  __u32 set[6] = {sizeof set,
                  VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                  VFIO_PCI_MSI_IRQ_INDEX,
                  0,
                  1,
                  0};
  struct __kernel_timespec five_seconds = {.tv_sec = 5};
  __u64 count = 0;
  int event = (int)Call(__NR_eventfd2, 0, 0, 0, 0, 0, 0);
  Require(event >= 0, "eventfd");
  set[5] = (__u32)event;
  Require(Ioctl(device, VFIO_DEVICE_SET_IRQS, set) == 0, "DEVICE_SET_IRQS");
  WriteRegister(EDU_IRQ_RAISE, 1);
  struct Poll poll = {.fd = event, .events = POLL_IN};
  Require(Call(__NR_ppoll, (long)&poll, 1, (long)&five_seconds, 0, 0, 0) == 1, "an MSI arrives");
  Require(Call(__NR_read, event, (long)&count, 8, 0, 0, 0) == 8 && count == 1, "exactly one");
  WriteRegister(EDU_IRQ_ACK, 1);
}

static void RunDma(__u32 source, __u32 target, __u32 direction) {
  struct __kernel_timespec pause = {.tv_nsec = 10000000};
  WriteRegister(EDU_DMA_SOURCE, source);
  WriteRegister(EDU_DMA_TARGET, target);
  WriteRegister(EDU_DMA_COUNT, TRANSFER);
  WriteRegister(EDU_DMA_COMMAND, DMA_START | direction);
  for (int i = 0; i < 500 && (ReadRegister(EDU_DMA_COMMAND) & DMA_START); i++)
    Call(__NR_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
  Require((ReadRegister(EDU_DMA_COMMAND) & DMA_START) == 0, "a transfer ends");
}

static void RoundTrip(void) {
  unsigned char* memory = (unsigned char*)Call(__NR_mmap, 0, 2 * PAGE, PROTECTION_READ_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Require((unsigned long)memory < -4095UL, "mmap of two pages");
  struct vfio_iommu_type1_dma_map map = {
      .argsz = sizeof map,
      .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
      .vaddr = (unsigned long)memory,
      .iova = IOVA,
      .size = 2 * PAGE,
  };
  Require(Ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0, "IOMMU_MAP_DMA");
  Call(__NR_getrandom, (long)memory, TRANSFER, 0, 0, 0, 0);
  RunDma(IOVA, EDU_BUFFER, 0);
  RunDma(EDU_BUFFER, IOVA + PAGE, DMA_TO_MEMORY);
  int same = 1;
  for (int i = 0; i < TRANSFER; i++) same &= memory[i] == memory[PAGE + i];
  Require(same, "random bytes come back unchanged");

  struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof unmap, .iova = IOVA, .size = 2 * PAGE};
  Require(Ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0, "IOMMU_UNMAP_DMA");
  Require(unmap.size == 2 * PAGE, "all of it is unmapped");
}

/* The stack as the kernel hands it over: the number of arguments, then the arguments. */
__attribute__((noreturn, used)) void Main(const long* stack) {
  const char* const* argument = (const char* const*)(stack + 1);
  Require(stack[0] == 3, "arguments: PCI-ADDRESS GROUP-NUMBER");
  container = Open("/dev/vfio/vfio");
  Require(container >= 0, "open of the container");
  OpenGroup(argument[2]);
  SetUpContainer();
  OpenDevice(argument[1]);
  UseRegisters();
  TakeInterrupt();
  RoundTrip();
  Exit(0);
}
