// The edu device against its data sheet, driven through its BAR, its slot and the clock.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u64 kBuffer = 0x7f0000000000;
constexpr u64 kIova = 0x100000;
// Registers
constexpr Offset kId = 0x00, kLiveness = 0x04, kFactorial = 0x08, kStatus = 0x20, kIrqStatus = 0x24;
constexpr Offset kIrqRaise = 0x60, kIrqAck = 0x64, kDmaSource = 0x80, kDmaTarget = 0x88;
constexpr Offset kDmaCount = 0x90, kDmaCommand = 0x98;

struct Edu : Bench {
  explicit Edu(std::map<std::string, u64> params = {})
      : Bench({{kFirst, &fake_devices::kEdu, 1, "vfio-pci", std::move(params)}}),
        opened(OpenAll()) {
    client.mm().Map(kBuffer, 2 * kPageSize);
    Must(Map(opened.container, kIova, kBuffer, 2 * kPageSize) == 0);
    Store<u16>(opened.device, kConfig + PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  }
  u32 Get(Offset at) { return Load<u32>(opened.device, Region(0) + at); }
  void Set(Offset at, u32 value) { Store<u32>(opened.device, Region(0) + at, value); }
  void StartDma(u64 source, u64 target, u64 count, u32 command) {
    Store<u64>(opened.device, Region(0) + kDmaSource, source);
    Store<u64>(opened.device, Region(0) + kDmaTarget, target);
    Store<u64>(opened.device, Region(0) + kDmaCount, count);
    Set(kDmaCommand, command);
  }
  u64 faults() { return machine.fault_count(); }
  Opened opened;
};

}  // namespace

TEST_CASE("edu says who it is", "[edu]") {
  Edu edu;
  CHECK(edu.Load<u32>(edu.opened.device, kConfig) == 0x11e81234);
  CHECK(edu.Load<u8>(edu.opened.device, kConfig + PCI_REVISION_ID) == 0x10);
  CHECK(edu.Load<u8>(edu.opened.device, kConfig + PCI_INTERRUPT_PIN) == 1);
  CHECK(edu.Get(kId) == 0x010000ed);
}

TEST_CASE("edu's liveness register inverts what is written", "[edu]") {
  Edu edu;
  edu.Set(kLiveness, 0x12345678);
  CHECK(edu.Get(kLiveness) == 0xedcba987);
}

TEST_CASE("edu computes a factorial and is busy meanwhile", "[edu]") {
  Edu edu;
  edu.Set(kFactorial, 5);
  CHECK(edu.Get(kStatus) == 0x01);
  CHECK(edu.Get(kFactorial) == 5);
  edu.Wait(1s);
  CHECK(edu.Get(kStatus) == 0);
  CHECK(edu.Get(kFactorial) == 120);
}

TEST_CASE("edu ignores a new number while it computes", "[edu]") {
  Edu edu;
  edu.Set(kFactorial, 5);
  edu.Set(kFactorial, 3);
  edu.Wait(1s);
  CHECK(edu.Get(kFactorial) == 120);
}

TEST_CASE("edu's factorials begin with 1 and wrap at 32 bits", "[edu]") {
  Edu edu;
  edu.Set(kFactorial, 0);
  edu.Wait(1s);
  CHECK(edu.Get(kFactorial) == 1);
  edu.Set(kFactorial, 13);
  edu.Wait(1s);
  CHECK(edu.Get(kFactorial) == 1932053504);
  edu.Set(kFactorial, 0xffffffff);
  edu.Wait(1s);
  CHECK(edu.Get(kFactorial) == 0);
}

TEST_CASE("edu's STATUS keeps the interrupt bit only, busy or not", "[edu]") {
  Edu edu;
  edu.Set(kStatus, 0xffffffff);
  CHECK(edu.Get(kStatus) == 0x80);
  edu.Set(kFactorial, 5);
  edu.Set(kStatus, 0);
  CHECK(edu.Get(kStatus) == 0x01);
}

TEST_CASE("edu raises INTx after a factorial when asked, and lowers it when acknowledged",
          "[edu]") {
  Edu edu;
  edu.Set(kStatus, 0x80);
  edu.Set(kFactorial, 4);
  edu.Wait(1s);
  CHECK(edu.Get(kIrqStatus) == 0x001);
  CHECK(edu.slot().intx_asserted());
  edu.Set(kIrqAck, 0x001);
  CHECK(edu.Get(kIrqStatus) == 0);
  CHECK_FALSE(edu.slot().intx_asserted());
}

TEST_CASE("edu raises no interrupt after a factorial when not asked", "[edu]") {
  Edu edu;
  edu.Set(kFactorial, 4);
  edu.Wait(1s);
  CHECK(edu.Get(kIrqStatus) == 0);
  CHECK_FALSE(edu.slot().intx_asserted());
}

TEST_CASE("edu collects causes and holds INTx until the last is acknowledged", "[edu]") {
  Edu edu;
  edu.Set(kIrqRaise, 0x10);
  edu.Set(kIrqRaise, 0x02);
  CHECK(edu.Get(kIrqStatus) == 0x12);
  edu.Set(kIrqAck, 0x10);
  CHECK(edu.Get(kIrqStatus) == 0x02);
  CHECK(edu.slot().intx_asserted());
  edu.Set(kIrqAck, 0xffffffff);
  CHECK_FALSE(edu.slot().intx_asserted());
}

TEST_CASE("edu sends a message each time when MSI is enabled, and leaves INTx alone", "[edu]") {
  Edu edu;
  const int eventfd = edu.client.AddEventfd();
  REQUIRE(edu.SetTriggers(edu.opened.device, VFIO_PCI_MSI_IRQ_INDEX, 0, {eventfd}) == 0);
  edu.Set(kIrqRaise, 1);
  edu.Set(kIrqRaise, 1);
  CHECK(edu.client.Signals(eventfd) == 2);
  CHECK_FALSE(edu.slot().intx_asserted());
}

TEST_CASE("edu's interrupt registers that are write-only read as ones", "[edu]") {
  Edu edu;
  edu.Set(kIrqRaise, 1);
  CHECK(edu.Get(kIrqRaise) == 0xffffffff);
  CHECK(edu.Get(kIrqAck) == 0xffffffff);
}

TEST_CASE("edu copies from memory into its buffer and back to memory", "[edu][dma]") {
  Edu edu;
  edu.client.mm().Put(kBuffer + 8, u64{0x0123456789abcdef});
  edu.StartDma(kIova + 8, 0x40010, 8, 0x1);
  CHECK(edu.Get(kDmaCommand) == 0x1);
  edu.Wait(1s);
  CHECK(edu.Get(kDmaCommand) == 0);
  edu.StartDma(0x40010, kIova + 0x1100, 8, 0x3);
  edu.Wait(1s);
  CHECK(edu.client.mm().Get<u64>(kBuffer + 0x1100) == 0x0123456789abcdef);
  CHECK(edu.faults() == 0);
}

TEST_CASE("edu copies nothing before its DMA has taken its time", "[edu][dma]") {
  Edu edu;
  edu.StartDma(0x40000, kIova, 8, 0x3);
  edu.Wait(99ms);
  CHECK(edu.client.mm().stores.empty());
  edu.Wait(1ms);
  CHECK_FALSE(edu.client.mm().stores.empty());
}

TEST_CASE("edu can move its whole buffer over two pages", "[edu][dma]") {
  Edu edu;
  edu.client.mm().Put(kBuffer + 0x800, u32{0x11});
  edu.client.mm().Put(kBuffer + 0x17fc, u32{0x22});
  edu.StartDma(kIova + 0x800, 0x40000, 0x1000, 0x1);
  edu.Wait(1s);
  edu.StartDma(0x40ffc, kIova, 4, 0x3);
  edu.Wait(1s);
  CHECK(edu.client.mm().Get<u32>(kBuffer) == 0x22);
}

TEST_CASE("edu raises 0x100 after a DMA when asked", "[edu][dma]") {
  Edu edu;
  edu.StartDma(kIova, 0x40000, 4, 0x5);
  edu.Wait(1s);
  CHECK(edu.Get(kIrqStatus) == 0x100);
  CHECK(edu.slot().intx_asserted());
}

TEST_CASE("edu ignores its DMA registers while a DMA runs", "[edu][dma]") {
  Edu edu;
  edu.client.mm().Put(kBuffer, u32{0x77});
  edu.StartDma(kIova, 0x40000, 4, 0x1);
  edu.StartDma(0xdead000, 0x41000, 99, 0x5);
  edu.Wait(1s);
  CHECK(edu.Get(kDmaSource) == kIova);
  CHECK(edu.Get(kIrqStatus) == 0);
  CHECK(edu.faults() == 0);
}

TEST_CASE("edu clamps a bus address to 28 bits", "[edu][dma]") {
  Edu edu;
  edu.Listen();
  edu.client.mm().Put(kBuffer, u32{0x5555});
  edu.StartDma(0xf00000000 | kIova, 0x40000, 4, 0x1);
  edu.Wait(1s);
  CHECK(edu.faults() == 0);
  CHECK(edu.trace_text.find("guest-error 0000:01:00.0 DMA address beyond") != std::string::npos);
}

TEST_CASE("edu with a wider DMA mask reaches further", "[edu][dma]") {
  Edu edu({{"dma_mask_bits", 40}});
  REQUIRE(edu.Map(edu.opened.container, 0xf000000000, kBuffer, 0x1000) == 0);
  edu.client.mm().Put(kBuffer, u32{0x5555});
  edu.StartDma(0xf000000000, 0x40000, 4, 0x1);
  edu.Wait(1s);
  edu.StartDma(0x40000, kIova + 0x1000, 4, 0x3);
  edu.Wait(1s);
  CHECK(edu.client.mm().Get<u32>(kBuffer + 0x1000) == 0x5555);
}

TEST_CASE("edu refuses a DMA outside its buffer and still ends it", "[edu][dma]") {
  Edu edu;
  edu.Listen();
  edu.StartDma(kIova, 0x40ffd, 4, 0x5);
  edu.Wait(1s);
  CHECK(edu.Get(kDmaCommand) == 0x4);
  CHECK(edu.Get(kIrqStatus) == 0x100);
  CHECK(edu.trace_text.find("DMA outside the 4 KiB buffer") != std::string::npos);
  CHECK(edu.trace_text.find("dma-read") == std::string::npos);
}

TEST_CASE("edu below its buffer does not wrap around", "[edu][dma]") {
  Edu edu;
  edu.StartDma(kIova, 0x3ffff, 4, 0x1);
  edu.Wait(1s);
  CHECK(edu.Get(kDmaCommand) == 0);
  CHECK(edu.faults() == 0);
}

TEST_CASE("a DMA of edu without bus mastering faults and changes nothing", "[edu][dma]") {
  Edu edu;
  edu.Store<u16>(edu.opened.device, kConfig + PCI_COMMAND, PCI_COMMAND_MEMORY);
  edu.StartDma(0x40000, kIova, 4, 0x3);
  edu.Wait(1s);
  CHECK(edu.faults() == 1);
  CHECK(edu.machine.faults().back().fault.reason == FaultReason::kBusMasterDisabled);
}

TEST_CASE("a reset cancels edu's timers, empties its buffer and resets its registers", "[edu]") {
  Edu edu;
  edu.client.mm().Put(kBuffer, u32{0x7777});
  edu.StartDma(kIova, 0x40000, 4, 0x1);
  edu.Wait(1s);
  edu.Set(kStatus, 0x80);
  edu.Set(kFactorial, 5);
  edu.Set(kIrqRaise, 2);
  edu.StartDma(0x40000, kIova, 4, 0x7);
  CHECK(edu.Ioctl(edu.opened.device, VFIO_DEVICE_RESET) == 0);
  edu.client.mm().stores.clear();
  edu.Wait(1s);
  CHECK(edu.Get(kStatus) == 0);
  CHECK(edu.Get(kFactorial) == 0);
  CHECK(edu.Get(kIrqStatus) == 0);
  CHECK(edu.Get(kDmaCommand) == 0);
  CHECK(edu.client.mm().stores.empty());
  edu.StartDma(0x40000, kIova, 4, 0x3);
  edu.Wait(1s);
  CHECK(edu.client.mm().Get<u32>(kBuffer) == 0);
}
