// Drives an edu device from user space inside a guest: registers, factorial, INTx, DMA.
// usage: guest_edu PCI_DEVICE_DIRECTORY UIO_NODE, with the device bound to uio_pci_generic.
// Prints a line for each check, at last GUEST-OK or GUEST-FAIL with a reason.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum Register {
  kId = 0x00,
  kLiveness = 0x04,
  kFactorial = 0x08,
  kStatus = 0x20,
  kIrqStatus = 0x24,
  kIrqRaise = 0x60,
  kIrqAck = 0x64,
  kDmaSource = 0x80,
  kDmaTarget = 0x88,
  kDmaCount = 0x90,
  kDmaCommand = 0x98,
};

enum {
  kIdValue = 0x010000ed,
  kComputing = 0x01,  // Status
  kIrqAfterFactorial = 0x80,
  kFactorialDone = 0x001,  // IrqStatus
  kDmaDone = 0x100,
  kDmaStart = 0x1,  // DmaCommand
  kDmaToMemory = 0x2,
  kIrqAfterDma = 0x4,
  kBarSize = 1 << 20,
  kDeviceBuffer = 0x40000,
  kPageSize = 4096,
  kTimeoutMs = 5000,
  kQuietMs = 20,
};

// Neither end page-aligned, both within one page, and short of the end of the device's buffer: a
// transfer that touches its last byte is refused by QEMU 7.2.
enum { kDmaLength = 3000, kSourceOffset = 0x48, kTargetOffset = 0x110, kBufferOffset = 0x100 };

struct Edu {
  volatile uint8_t* bar;
  int config;
  int uio;
  uint32_t interrupts;  // how many uio has told of so far
};

static _Noreturn __attribute__((format(printf, 1, 2))) void Fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("GUEST-FAIL ", stdout);
  vprintf(format, arguments);
  putchar('\n');
  exit(1);
}

static void Expect(const char* what, uint32_t got, uint32_t want) {
  if (got != want) Fail("%s: got 0x%x, want 0x%x", what, got, want);
  printf("ok   %s: 0x%x\n", what, got);
}

static uint32_t Read32(const struct Edu* edu, enum Register offset) {
  return *(volatile uint32_t*)(edu->bar + offset);
}

static void Write32(const struct Edu* edu, enum Register offset, uint32_t value) {
  *(volatile uint32_t*)(edu->bar + offset) = value;
}

static void Write64(const struct Edu* edu, enum Register offset, uint64_t value) {
  *(volatile uint64_t*)(edu->bar + offset) = value;
}

static int64_t NowMs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void WaitUntilClear(const struct Edu* edu, enum Register offset, uint32_t bit,
                           const char* what) {
  const int64_t deadline = NowMs() + kTimeoutMs;
  while (Read32(edu, offset) & bit) {
    if (NowMs() > deadline) Fail("%s: not done after %d ms", what, kTimeoutMs);
    usleep(1000);
  }
}

static uint16_t ReadConfig16(const struct Edu* edu, int offset) {
  uint16_t value = 0;
  if (pread(edu->config, &value, sizeof value, offset) != sizeof value)
    Fail("config read at 0x%x: %s", offset, strerror(errno));
  return value;
}

static void ChangeCommand(const struct Edu* edu, uint16_t set, uint16_t clear) {
  const uint16_t value = (ReadConfig16(edu, PCI_COMMAND) | set) & ~clear;
  if (pwrite(edu->config, &value, sizeof value, PCI_COMMAND) != sizeof value)
    Fail("config write of the command register: %s", strerror(errno));
}

static int OpenOrFail(const char* path, int flags) {
  const int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) Fail("open %s: %s", path, strerror(errno));
  return fd;
}

static struct Edu OpenEdu(const char* directory, const char* uio_node) {
  char path[256];
  struct Edu edu = {0};
  snprintf(path, sizeof path, "%s/config", directory);
  edu.config = OpenOrFail(path, O_RDWR);
  edu.uio = OpenOrFail(uio_node, O_RDWR);
  snprintf(path, sizeof path, "%s/resource0", directory);
  const int resource = OpenOrFail(path, O_RDWR | O_SYNC);
  void* bar = mmap(NULL, kBarSize, PROT_READ | PROT_WRITE, MAP_SHARED, resource, 0);
  if (bar == MAP_FAILED) Fail("mmap %s: %s", path, strerror(errno));
  close(resource);
  edu.bar = bar;
  // uio_pci_generic leaves bus mastering off: without it every DMA would be refused.
  ChangeCommand(&edu, PCI_COMMAND_MASTER, 0);
  return edu;
}

static bool InterruptComes(const struct Edu* edu, int timeout_ms) {
  struct pollfd waiter = {.fd = edu->uio, .events = POLLIN};
  return poll(&waiter, 1, timeout_ms) == 1 && (waiter.revents & POLLIN);
}

static void ExpectQuiet(const struct Edu* edu, const char* when) {
  if (InterruptComes(edu, kQuietMs)) Fail("an interrupt came %s", when);
  printf("ok   no interrupt %s\n", when);
}

// Takes one interrupt. The kernel's handler leaves INTx disabled in the command register.
static void TakeInterrupt(struct Edu* edu, const char* what) {
  uint32_t total = 0;
  if (!InterruptComes(edu, kTimeoutMs)) Fail("%s: no interrupt after %d ms", what, kTimeoutMs);
  if (read(edu->uio, &total, sizeof total) != sizeof total) Fail("read uio: %s", strerror(errno));
  Expect(what, total, ++edu->interrupts);
  Expect("  DisINTx set by the handler", ReadConfig16(edu, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE,
         PCI_COMMAND_INTX_DISABLE);
}

static void AckInterrupt(const struct Edu* edu, uint32_t cause) {
  Expect("  cause", Read32(edu, kIrqStatus), cause);
  Expect("  PCI status shows INTx", ReadConfig16(edu, PCI_STATUS) & PCI_STATUS_INTERRUPT,
         PCI_STATUS_INTERRUPT);
  Write32(edu, kIrqAck, cause);
  Expect("  cause after ack", Read32(edu, kIrqStatus), 0);
  Expect("  PCI status after ack", ReadConfig16(edu, PCI_STATUS) & PCI_STATUS_INTERRUPT, 0);
}

static void EnableInterrupt(const struct Edu* edu) {
  ChangeCommand(edu, 0, PCI_COMMAND_INTX_DISABLE);
}

static void TestRegisters(const struct Edu* edu) {
  const uint32_t pattern = 0x12345678;
  Expect("identification", Read32(edu, kId), kIdValue);
  Write32(edu, kLiveness, pattern);
  Expect("liveness", Read32(edu, kLiveness), ~pattern);
}

static void TestPolledFactorial(const struct Edu* edu) {
  Write32(edu, kStatus, 0);
  Write32(edu, kFactorial, 10);
  WaitUntilClear(edu, kStatus, kComputing, "factorial");
  Expect("factorial of 10", Read32(edu, kFactorial), 3628800);
}

static void TestFactorialInterrupt(struct Edu* edu) {
  Write32(edu, kStatus, kIrqAfterFactorial);
  Write32(edu, kFactorial, 12);
  TakeInterrupt(edu, "interrupt of the factorial");
  Expect("factorial of 12", Read32(edu, kFactorial), 479001600);
  AckInterrupt(edu, kFactorialDone);
  Write32(edu, kStatus, 0);
  EnableInterrupt(edu);
}

// A level interrupt that is raised while INTx is disabled must arrive once it is enabled.
static void TestRaisedInterrupts(struct Edu* edu) {
  ExpectQuiet(edu, "before one is raised");
  Write32(edu, kIrqRaise, 0x2);
  TakeInterrupt(edu, "interrupt by request");
  AckInterrupt(edu, 0x2);
  Write32(edu, kIrqRaise, 0x4);
  ExpectQuiet(edu, "while INTx is disabled");
  EnableInterrupt(edu);
  TakeInterrupt(edu, "interrupt held back by DisINTx");
  AckInterrupt(edu, 0x4);
  EnableInterrupt(edu);
  ExpectQuiet(edu, "after the ack");
}

static uint8_t* LockedPage(void) {
  uint8_t* page = mmap(NULL, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || mlock(page, kPageSize) != 0) Fail("locked page: %s", strerror(errno));
  memset(page, 0xa5, kPageSize);  // written, so that it has a page frame of its own
  return page;
}

static uint64_t PhysicalAddress(const void* page) {
  const uint64_t kPresent = UINT64_C(1) << 63, kFrameMask = (UINT64_C(1) << 55) - 1;
  const uint64_t kDmaLimit = UINT64_C(1) << 28;  // edu drops the address bits above
  uint64_t entry = 0;
  const int pagemap = OpenOrFail("/proc/self/pagemap", O_RDONLY);
  const off_t offset = (off_t)((uintptr_t)page / kPageSize * sizeof entry);
  if (pread(pagemap, &entry, sizeof entry, offset) != sizeof entry) Fail("pagemap read");
  close(pagemap);
  const uint64_t address = (entry & kFrameMask) * kPageSize;
  if (!(entry & kPresent) || address == 0 || address >= kDmaLimit)
    Fail("no usable physical address: pagemap entry 0x%llx", (unsigned long long)entry);
  return address;
}

// Registers from 0x80 on take both widths: this direction uses 8 bytes, the other one 4.
static void DmaToDevice(struct Edu* edu, uint64_t source) {
  Write64(edu, kDmaSource, source);
  Write64(edu, kDmaTarget, kDeviceBuffer + kBufferOffset);
  Write64(edu, kDmaCount, kDmaLength);
  __sync_synchronize();
  Write64(edu, kDmaCommand, kDmaStart);
  WaitUntilClear(edu, kDmaCommand, kDmaStart, "DMA to the device");
  printf("ok   DMA to the device: %d bytes from 0x%llx\n", kDmaLength, (unsigned long long)source);
}

static void DmaToMemory(struct Edu* edu, uint64_t target) {
  Write32(edu, kDmaSource, kDeviceBuffer + kBufferOffset);
  Write32(edu, kDmaTarget, (uint32_t)target);
  Write32(edu, kDmaCount, kDmaLength);
  Write32(edu, kDmaCommand, kDmaStart | kDmaToMemory | kIrqAfterDma);
  TakeInterrupt(edu, "interrupt of the DMA");
  WaitUntilClear(edu, kDmaCommand, kDmaStart, "DMA to memory");
  __sync_synchronize();
  AckInterrupt(edu, kDmaDone);
  EnableInterrupt(edu);
  printf("ok   DMA to memory: %d bytes to 0x%llx\n", kDmaLength, (unsigned long long)target);
}

// Random bytes of this run, so that no earlier content of the device's buffer can pass for them.
static void TestDmaRoundTrip(struct Edu* edu) {
  uint8_t* source = LockedPage();
  uint8_t* target = LockedPage();
  uint8_t expected[kPageSize];
  memcpy(expected, target, kPageSize);
  if (getrandom(source, kPageSize, 0) != kPageSize) Fail("getrandom: %s", strerror(errno));
  memcpy(expected + kTargetOffset, source + kSourceOffset, kDmaLength);

  DmaToDevice(edu, PhysicalAddress(source) + kSourceOffset);
  memset(source, 0, kPageSize);  // the bytes are now in the device and in `expected` only
  DmaToMemory(edu, PhysicalAddress(target) + kTargetOffset);
  for (int i = 0; i < kPageSize; ++i)
    if (target[i] != expected[i])
      Fail("DMA round trip: byte %d is 0x%02x, want 0x%02x", i, target[i], expected[i]);
  printf("ok   DMA round trip: the same bytes, and none beside them\n");
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc != 3) Fail("usage: %s PCI_DEVICE_DIRECTORY UIO_NODE", argv[0]);
  struct Edu edu = OpenEdu(argv[1], argv[2]);
  TestRegisters(&edu);
  TestPolledFactorial(&edu);
  TestRaisedInterrupts(&edu);
  TestFactorialInterrupt(&edu);
  TestDmaRoundTrip(&edu);
  puts("GUEST-OK");
  return 0;
}
