// SET_IRQS of INTx: a level that is masked when it fires.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u32 kIntx = VFIO_PCI_INTX_IRQ_INDEX;
constexpr u32 kNone = VFIO_IRQ_SET_DATA_NONE, kBool = VFIO_IRQ_SET_DATA_BOOL;
constexpr u32 kFd = VFIO_IRQ_SET_DATA_EVENTFD;
constexpr u32 kMask = VFIO_IRQ_SET_ACTION_MASK, kUnmask = VFIO_IRQ_SET_ACTION_UNMASK;
constexpr u32 kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
constexpr u64 kCommand = kConfig + PCI_COMMAND;
constexpr std::array kTrue{std::byte{1}}, kFalse{std::byte{0}};

struct Lab : Bench {
  Lab() : Bench({{kFirst, &kPlenty, 1}}), device(OpenAll().device), eventfd(client.AddEventfd()) {}
  long Enable() { return SetTriggers(device, kIntx, 0, {eventfd}); }
  long Set(u32 flags, u32 count = 1, std::span<const std::byte> data = {}) {
    return SetIrqs(device, kIntx, flags, 0, count, data);
  }
  u64 signals() { return client.Signals(eventfd); }
  int device;
  int eventfd;
};

}  // namespace

TEST_CASE("INTx signals once when raised and is masked from then on", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.signals() == 1);
  bench.slot().SetIntx(false);
  bench.slot().SetIntx(true);
  CHECK(bench.signals() == 0);
}

TEST_CASE("INTx unmasked after the device lowered it signals again when raised", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  bench.slot().SetIntx(true);
  bench.slot().SetIntx(false);
  REQUIRE(bench.signals() == 1);
  CHECK(bench.Set(kUnmask | kNone) == 0);
  CHECK(bench.signals() == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.signals() == 1);
}

TEST_CASE("INTx unmasked while still raised signals at once and stays masked", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  bench.slot().SetIntx(true);
  REQUIRE(bench.signals() == 1);
  CHECK(bench.Set(kUnmask | kBool, 1, kTrue) == 0);
  CHECK(bench.signals() == 1);
  bench.slot().SetIntx(false);
  bench.slot().SetIntx(true);
  CHECK(bench.signals() == 0);
}

TEST_CASE("MASK and UNMASK with BOOL false do nothing", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  CHECK(bench.Set(kMask | kBool, 1, kFalse) == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.signals() == 1);
  CHECK(bench.Set(kUnmask | kBool, 1, kFalse) == 0);
  CHECK(bench.signals() == 0);
}

TEST_CASE("INTx that was masked by the client does not signal until it is unmasked",
          "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  CHECK(bench.Set(kMask | kNone) == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.signals() == 0);
  CHECK(bench.Set(kUnmask | kNone) == 0);
  CHECK(bench.signals() == 1);
}

TEST_CASE("MASK and UNMASK of INTx that is not enabled or of another vector are EINVAL",
          "[irqs][intx]") {
  Lab bench;
  CHECK(bench.Set(kMask | kNone) == -EINVAL);
  CHECK(bench.Set(kUnmask | kNone) == -EINVAL);
  REQUIRE(bench.Enable() == 0);
  CHECK(bench.Set(kMask | kNone, 0) == -EINVAL);
  CHECK(bench.Set(kUnmask | kNone, 0) == -EINVAL);
  CHECK(bench.Set(kMask | kNone, 2) == -EINVAL);
}

TEST_CASE("MASK by eventfd is ENOTTY", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  CHECK(bench.Set(kMask | kFd, 1, BytesOf(bench.eventfd)) == -ENOTTY);
}

TEST_CASE("an eventfd can unmask INTx", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  const int unmask = bench.client.AddEventfd();
  REQUIRE(bench.Set(kUnmask | kFd, 1, BytesOf(unmask)) == 0);
  bench.slot().SetIntx(true);
  REQUIRE(bench.signals() == 1);
  bench.client.Signal(unmask);
  bench.LookAtEventfds();
  CHECK(bench.signals() == 1);  // still raised
  bench.slot().SetIntx(false);
  bench.client.Signal(unmask);
  bench.LookAtEventfds();
  CHECK(bench.signals() == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.signals() == 1);
}

TEST_CASE("a second unmask eventfd is EBUSY until the first is taken back", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  const int unmask = bench.client.AddEventfd();
  const int none = -1;
  REQUIRE(bench.Set(kUnmask | kFd, 1, BytesOf(unmask)) == 0);
  CHECK(bench.Set(kUnmask | kFd, 1, BytesOf(unmask)) == -EBUSY);
  CHECK(bench.Set(kUnmask | kFd, 1, BytesOf(none)) == 0);
  CHECK(bench.environment.watches() == 0);
  CHECK(bench.Set(kUnmask | kFd, 1, BytesOf(none)) == 0);
  CHECK(bench.Set(kUnmask | kFd, 1, BytesOf(unmask)) == 0);
}

TEST_CASE("an unmask eventfd that no client has open any more leaves its place", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  const int first = bench.client.AddEventfd(), second = bench.client.AddEventfd();
  REQUIRE(bench.Set(kUnmask | kFd, 1, BytesOf(first)) == 0);
  bench.environment.clients_have_eventfds = false;
  CHECK(bench.Set(kUnmask | kFd, 1, BytesOf(second)) == 0);
  CHECK(bench.environment.watches() == 1);
}

TEST_CASE("an unmask descriptor that is not open is EBADF, one that is no eventfd EINVAL",
          "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  const int closed = 999;
  const int foreign = bench.client.AddForeignFile();
  CHECK(bench.Set(kUnmask | kFd, 1, BytesOf(closed)) == -EBADF);
  CHECK(bench.Set(kUnmask | kFd, 1, BytesOf(foreign)) == -EINVAL);
  CHECK(bench.environment.watches() == 0);
}

TEST_CASE("TRIGGER loops back to the eventfd with NONE and with BOOL true", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  CHECK(bench.Set(kTrigger | kNone) == 0);
  CHECK(bench.signals() == 1);
  CHECK(bench.Set(kTrigger | kBool, 1, kTrue) == 0);
  CHECK(bench.signals() == 1);
  CHECK(bench.Set(kTrigger | kBool, 1, kFalse) == 0);
  CHECK(bench.signals() == 0);
}

TEST_CASE("TRIGGER with NONE or BOOL before INTx is enabled is EINVAL, also with count 0",
          "[irqs][intx]") {
  Lab bench;
  CHECK(bench.Set(kTrigger | kNone) == -EINVAL);
  CHECK(bench.Set(kTrigger | kNone, 0) == -EINVAL);
  CHECK(bench.Set(kTrigger | kBool, 1, kTrue) == -EINVAL);
}

TEST_CASE("TRIGGER with NONE and count 0 disables INTx and the unmask eventfd", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  const int unmask = bench.client.AddEventfd();
  REQUIRE(bench.Set(kUnmask | kFd, 1, BytesOf(unmask)) == 0);
  CHECK(bench.Set(kTrigger | kNone, 0) == 0);
  CHECK(bench.environment.watches() == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.signals() == 0);
  CHECK(bench.Enable() == 0);
  CHECK(bench.signals() == 1);  // it was raised all the time
}

TEST_CASE("TRIGGER with -1 enables INTx without an eventfd, and one can be given later",
          "[irqs][intx]") {
  Lab bench;
  CHECK(bench.SetTriggers(bench.device, kIntx, 0, {-1}) == 0);
  CHECK(bench.Set(kTrigger | kNone) == 0);
  CHECK(bench.Enable() == 0);
  CHECK(bench.Set(kTrigger | kNone) == 0);
  CHECK(bench.signals() == 1);
}

TEST_CASE("a new trigger replaces the old one, and a bad one leaves it", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  CHECK(bench.SetTriggers(bench.device, kIntx, 0, {999}) == -EBADF);
  CHECK(bench.Set(kTrigger | kNone) == 0);
  CHECK(bench.signals() == 1);
  const int other = bench.client.AddEventfd();
  CHECK(bench.SetTriggers(bench.device, kIntx, 0, {other}) == 0);
  CHECK(bench.Set(kTrigger | kNone) == 0);
  CHECK(bench.signals() == 0);
  CHECK(bench.client.Signals(other) == 1);
}

TEST_CASE("a bad first trigger does not enable INTx", "[irqs][intx]") {
  Lab bench;
  CHECK(bench.SetTriggers(bench.device, kIntx, 0, {999}) == -EBADF);
  CHECK(bench.SetTriggers(bench.device, kIntx, 0, {bench.client.AddForeignFile()}) == -EINVAL);
  CHECK(bench.Set(kMask | kNone) == -EINVAL);
}

TEST_CASE("INTX_DISABLE in COMMAND stops signals and loop-back; clearing it catches up",
          "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  bench.Store<u16>(bench.device, kCommand, PCI_COMMAND_INTX_DISABLE);
  CHECK(bench.Set(kTrigger | kNone) == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.Set(kUnmask | kNone) == 0);
  CHECK(bench.signals() == 0);
  bench.Store<u16>(bench.device, kCommand, 0);
  CHECK(bench.signals() == 1);
}

TEST_CASE("INTX_DISABLE set before INTx is enabled masks it from the start", "[irqs][intx]") {
  Lab bench;
  bench.Store<u16>(bench.device, kCommand, PCI_COMMAND_INTX_DISABLE);
  CHECK((bench.slot().config().Get(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE) != 0);
  bench.slot().SetIntx(true);
  REQUIRE(bench.Enable() == 0);
  CHECK(bench.signals() == 0);
  bench.Store<u16>(bench.device, kCommand, 0);
  CHECK(bench.signals() == 1);
}

TEST_CASE("automasking does not show in the client's COMMAND", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  bench.slot().SetIntx(true);
  CHECK((bench.Load<u16>(bench.device, kCommand) & PCI_COMMAND_INTX_DISABLE) == 0);
  CHECK((bench.slot().config().Get(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE) != 0);
}

TEST_CASE("a reset lowers INTx and keeps the eventfd", "[irqs][intx]") {
  Lab bench;
  REQUIRE(bench.Enable() == 0);
  bench.slot().SetIntx(true);
  REQUIRE(bench.signals() == 1);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  CHECK_FALSE(bench.slot().intx_asserted());
  CHECK(bench.Set(kTrigger | kNone) == 0);
  CHECK(bench.signals() == 1);
}
