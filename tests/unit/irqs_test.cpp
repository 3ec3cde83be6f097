// SET_IRQS of MSI, MSI-X, ERR and REQ, the checks before any of them, and GET_IRQ_INFO.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u32 kIntx = 0, kMsi = 1, kMsix = 2, kErr = 3, kReq = 4;
constexpr u32 kNone = 1, kBool = 2, kFd = 4, kMask = 8, kUnmask = 16, kTrigger = 32;

struct Lab : Bench {
  explicit Lab(const Model& model = kPlenty)
      : Bench({{kFirst, &model, 1}}), device(OpenAll().device) {
    slot().config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, true);
  }
  long Set(u32 index, u32 flags, u32 start, u32 count, std::span<const std::byte> data = {}) {
    return SetIrqs(device, index, flags, start, count, data);
  }
  vfio_irq_info Info(u32 index) {
    vfio_irq_info info{.argsz = 16, .index = index};
    Must(Ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, info) == 0);
    return info;
  }
  int device;
  int a = client.AddEventfd(), b = client.AddEventfd(), c = client.AddEventfd();
};

}  // namespace

TEST_CASE("IRQ infos of a function with everything", "[irqs]") {
  Lab bench;
  CHECK(bench.Info(kIntx).flags == 7);
  CHECK(bench.Info(kIntx).count == 1);
  CHECK(bench.Info(kMsi).flags == 9);
  CHECK(bench.Info(kMsi).count == 8);
  CHECK(bench.Info(kMsix).flags == 1);
  CHECK(bench.Info(kMsix).count == 4);
  CHECK(bench.Info(kErr).flags == 9);
  CHECK(bench.Info(kErr).count == 1);
  CHECK(bench.Info(kReq).flags == 9);
  CHECK(bench.Info(kReq).count == 1);
}

TEST_CASE("IRQ infos of types that a function lacks succeed with count 0", "[irqs]") {
  Lab bench(kBare);
  CHECK(bench.Info(kIntx).count == 0);
  CHECK(bench.Info(kMsi).count == 0);
  CHECK(bench.Info(kMsix).count == 0);
  CHECK(bench.Info(kMsix).flags == 9);
}

TEST_CASE("GET_IRQ_INFO with argsz 15 or index 5 is EINVAL, unreadable EFAULT", "[irqs]") {
  Lab bench;
  vfio_irq_info info{.argsz = 15};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_IRQ_INFO, info) == -EINVAL);
  info = {.argsz = 16, .index = 5};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_IRQ_INFO, info) == -EINVAL);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_IRQ_INFO, 0xdead000) == -EFAULT);
}

TEST_CASE("SET_IRQS checks argsz, index, range, flags and data type", "[irqs]") {
  Lab bench;
  const u32 short_header[] = {19, kNone | kTrigger, kReq, 0, 1};
  bench.client.mm().Poke(Bench::kArguments, std::as_bytes(std::span{short_header}));
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_SET_IRQS, Bench::kArguments) == -EINVAL);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_SET_IRQS, 0xdead000) == -EFAULT);
  CHECK(bench.Set(5, kNone | kTrigger, 0, 1) == -EINVAL);
  CHECK(bench.Set(kMsi, kNone | kTrigger, 1, 0xfffffffe) == -EINVAL);
  CHECK(bench.Set(kMsi, kNone | kTrigger | 64, 0, 1) == -EINVAL);
  CHECK(bench.Set(kMsi, kNone | kTrigger, 8, 0) == -EINVAL);
  CHECK(bench.Set(kMsi, kNone | kTrigger, 7, 2) == -EINVAL);
  CHECK(bench.Set(kMsi, kTrigger, 0, 1) == -EINVAL);
  CHECK(bench.Set(kMsi, kNone | kBool | kTrigger, 0, 1) == -EINVAL);
}

TEST_CASE("SET_IRQS with too little data is EINVAL and with unreadable data EFAULT", "[irqs]") {
  Lab bench;
  const std::array<std::byte, 3> three{};
  CHECK(bench.Set(kMsi, kBool | kTrigger, 0, 4, three) == -EINVAL);
  CHECK(bench.Set(kMsi, kFd | kTrigger, 0, 1, three) == -EINVAL);
  const u32 header[] = {24, kFd | kTrigger, kMsi, 0, 1};
  const u64 end = Bench::kArguments + 0x1000 - sizeof header;
  bench.client.mm().Poke(end, std::as_bytes(std::span{header}));
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_SET_IRQS, end) == -EFAULT);
}

TEST_CASE("SET_IRQS on a type that the function lacks is EINVAL, also with count 0", "[irqs]") {
  Lab bench(kBare);
  CHECK(bench.Set(kIntx, kNone | kTrigger, 0, 0) == -EINVAL);
  CHECK(bench.Set(kMsi, kNone | kTrigger, 0, 0) == -EINVAL);
  CHECK(bench.Set(kMsix, kNone | kTrigger, 0, 0) == -EINVAL);
}

TEST_CASE("no action, two actions and actions that an index lacks are ENOTTY", "[irqs]") {
  Lab bench;
  CHECK(bench.Set(kIntx, kNone, 0, 1) == -ENOTTY);
  CHECK(bench.Set(kIntx, kNone | kMask | kUnmask, 0, 1) == -ENOTTY);
  CHECK(bench.Set(kMsi, kNone | kMask, 0, 1) == -ENOTTY);
  CHECK(bench.Set(kMsi, kNone | kUnmask, 0, 1) == -ENOTTY);
  CHECK(bench.Set(kMsix, kNone | kMask, 0, 1) == -ENOTTY);
  CHECK(bench.Set(kErr, kNone | kMask, 0, 1) == -ENOTTY);
  CHECK(bench.Set(kReq, kNone | kUnmask, 0, 1) == -ENOTTY);
}

TEST_CASE("a message of a function that may not master the bus is lost", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a}) == 0);
  bench.slot().config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, false);
  bench.slot().SignalMsi(0);
  CHECK(bench.client.Signals(bench.a) == 0);
}

TEST_CASE("each MSI vector signals its own eventfd", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a, bench.b}) == 0);
  bench.slot().SignalMsi(1);
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.client.Signals(bench.b) == 1);
}

TEST_CASE("MSI vectors that have no eventfd are lost", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 1, {bench.a}) == 0);
  CHECK(bench.slot().MsiEnabled());
  bench.slot().SignalMsi(0);
  bench.slot().SignalMsi(7);
  CHECK(bench.client.Signals(bench.a) == 0);
}

TEST_CASE("MSI with no vector at all is ERANGE", "[irqs][msi]") {
  Lab bench;
  CHECK(bench.Set(kMsi, kFd | kTrigger, 0, 0) == -ERANGE);
  CHECK(bench.Set(kMsix, kFd | kTrigger, 0, 0) == -ERANGE);
}

TEST_CASE("NONE or BOOL before MSI is enabled is EINVAL, also to disable it", "[irqs][msi]") {
  Lab bench;
  CHECK(bench.Set(kMsi, kNone | kTrigger, 0, 0) == -EINVAL);
  CHECK(bench.Set(kMsi, kNone | kTrigger, 0, 1) == -EINVAL);
  CHECK(bench.Set(kMsi, kBool | kTrigger, 0, 1, std::array{std::byte{1}}) == -EINVAL);
}

TEST_CASE("loop-back signals the vectors that are named and assigned", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a, -1, bench.c}) == 0);
  CHECK(bench.Set(kMsi, kNone | kTrigger, 0, 3) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
  CHECK(bench.client.Signals(bench.c) == 1);
  const std::array only_last{std::byte{0}, std::byte{1}, std::byte{1}};
  CHECK(bench.Set(kMsi, kBool | kTrigger, 0, 3, only_last) == 0);
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.client.Signals(bench.c) == 1);
}

TEST_CASE("count 0 with BOOL or EVENTFD on an enabled type changes nothing", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a}) == 0);
  CHECK(bench.Set(kMsi, kBool | kTrigger, 0, 0) == 0);
  CHECK(bench.Set(kMsi, kFd | kTrigger, 0, 0) == 0);
  bench.slot().SignalMsi(0);
  CHECK(bench.client.Signals(bench.a) == 1);
}

TEST_CASE("a vector can be replaced and, with any negative number, taken away", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a, bench.b}) == 0);
  CHECK(bench.SetTriggers(bench.device, kMsi, 1, {bench.c}) == 0);
  bench.slot().SignalMsi(1);
  CHECK(bench.client.Signals(bench.b) == 0);
  CHECK(bench.client.Signals(bench.c) == 1);
  CHECK(bench.SetTriggers(bench.device, kMsi, 1, {-7}) == 0);
  bench.slot().SignalMsi(1);
  CHECK(bench.client.Signals(bench.c) == 0);
}

TEST_CASE("a bad descriptor in the middle de-assigns the vectors up to it", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a, bench.b, bench.c}) == 0);
  CHECK(bench.SetTriggers(bench.device, kMsi, 0, {bench.a, 999, bench.c}) == -EBADF);
  CHECK(bench.Set(kMsi, kNone | kTrigger, 0, 3) == 0);
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.client.Signals(bench.b) == 0);
  CHECK(bench.client.Signals(bench.c) == 1);
}

TEST_CASE("a bad descriptor while MSI is being enabled leaves it disabled", "[irqs][msi]") {
  Lab bench;
  const int foreign = bench.client.AddForeignFile();
  CHECK(bench.SetTriggers(bench.device, kMsi, 0, {bench.a, foreign}) == -EINVAL);
  CHECK_FALSE(bench.slot().MsiEnabled());
  CHECK(bench.SetTriggers(bench.device, kMsix, 0, {bench.a}) == 0);
}

TEST_CASE("MSI cannot grow after it was enabled", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a, bench.b}) == 0);
  CHECK(bench.SetTriggers(bench.device, kMsi, 2, {-1}) == 0);
  CHECK(bench.SetTriggers(bench.device, kMsi, 1, {bench.b, bench.c}) == -EINVAL);
  CHECK(bench.Set(kMsi, kNone | kTrigger, 0, 3) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
  CHECK(bench.client.Signals(bench.b) == 0);
}

TEST_CASE("MSI-X can grow after it was enabled", "[irqs][msix]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsix, 0, {bench.a}) == 0);
  CHECK(bench.SetTriggers(bench.device, kMsix, 3, {bench.c}) == 0);
  bench.slot().SignalMsi(3);
  CHECK(bench.client.Signals(bench.c) == 1);
  CHECK(bench.SetTriggers(bench.device, kMsix, 4, {bench.c}) == -EINVAL);
}

TEST_CASE("TRIGGER with NONE and count 0 disables all vectors", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a}) == 0);
  CHECK(bench.Set(kMsi, kNone | kTrigger, 0, 0) == 0);
  CHECK_FALSE(bench.slot().MsiEnabled());
  bench.slot().SignalMsi(0);
  CHECK(bench.client.Signals(bench.a) == 0);
}

TEST_CASE("only one of INTx, MSI and MSI-X is enabled at a time", "[irqs]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a}) == 0);
  CHECK(bench.SetTriggers(bench.device, kIntx, 0, {bench.b}) == -EINVAL);
  CHECK(bench.SetTriggers(bench.device, kMsix, 0, {bench.b}) == -EINVAL);
  CHECK(bench.Set(kMsix, kNone | kTrigger, 0, 0) == -EINVAL);
  REQUIRE(bench.Set(kMsi, kNone | kTrigger, 0, 0) == 0);
  REQUIRE(bench.SetTriggers(bench.device, kIntx, 0, {bench.b}) == 0);
  CHECK(bench.SetTriggers(bench.device, kMsi, 0, {bench.a}) == -EINVAL);
}

TEST_CASE("ERR and REQ loop back once an eventfd is set", "[irqs][err]") {
  Lab bench;
  CHECK(bench.Set(kErr, kNone | kTrigger, 0, 1) == -EINVAL);
  REQUIRE(bench.SetTriggers(bench.device, kErr, 0, {bench.a}) == 0);
  REQUIRE(bench.SetTriggers(bench.device, kReq, 0, {bench.b}) == 0);
  CHECK(bench.Set(kErr, kNone | kTrigger, 0, 1) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
  CHECK(bench.Set(kReq, kBool | kTrigger, 0, 1, std::array{std::byte{1}}) == 0);
  CHECK(bench.client.Signals(bench.b) == 1);
  CHECK(bench.Set(kReq, kBool | kTrigger, 0, 1, std::array{std::byte{0}}) == 0);
  CHECK(bench.client.Signals(bench.b) == 0);
}

TEST_CASE("ERR and REQ are taken back with -1 or with count 0", "[irqs][err]") {
  Lab bench;
  CHECK(bench.SetTriggers(bench.device, kErr, 0, {-1}) == 0);
  REQUIRE(bench.SetTriggers(bench.device, kErr, 0, {bench.a}) == 0);
  CHECK(bench.SetTriggers(bench.device, kErr, 0, {-1}) == 0);
  CHECK(bench.Set(kErr, kNone | kTrigger, 0, 0) == -EINVAL);
  REQUIRE(bench.SetTriggers(bench.device, kErr, 0, {bench.a}) == 0);
  CHECK(bench.Set(kErr, kNone | kTrigger, 0, 0) == 0);
  CHECK(bench.Set(kErr, kNone | kTrigger, 0, 1) == -EINVAL);
}

TEST_CASE("ERR and REQ name what is wrong", "[irqs][err]") {
  Lab bench;
  CHECK(bench.Set(kReq, kBool | kTrigger, 0, 0) == -EINVAL);
  CHECK(bench.Set(kReq, kFd | kTrigger, 0, 0) == -EINVAL);
  CHECK(bench.SetTriggers(bench.device, kReq, 0, {-2}) == -EINVAL);
  CHECK(bench.SetTriggers(bench.device, kReq, 0, {999}) == -EBADF);
  CHECK(bench.SetTriggers(bench.device, kReq, 0, {bench.client.AddForeignFile()}) == -EINVAL);
  CHECK(bench.Set(kReq, kBool | kTrigger, 0, 1, std::array{std::byte{1}}) == 0);  // none is set
}

TEST_CASE("a bad descriptor leaves the eventfd of REQ as it was", "[irqs][err]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kReq, 0, {bench.a}) == 0);
  CHECK(bench.SetTriggers(bench.device, kReq, 0, {999}) == -EBADF);
  CHECK(bench.Set(kReq, kNone | kTrigger, 0, 1) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
}

TEST_CASE("a reset keeps the eventfds of MSI", "[irqs][msi]") {
  Lab bench;
  REQUIRE(bench.SetTriggers(bench.device, kMsi, 0, {bench.a}) == 0);
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  bench.slot().SignalMsi(0);
  CHECK(bench.client.Signals(bench.a) == 1);
}
