// Interrupts of vfio-platform: levels that are masked as they fire, and edges.
#include <catch2/catch.hpp>

#include "support/platform_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u32 kNone = 1, kBool = 2, kFd = 4, kMask = 8, kUnmask = 16, kTrigger = 32;
constexpr u32 kLevel = 0, kEdge = 1;
constexpr std::array kYes{std::byte{1}}, kNo{std::byte{0}};

struct Lab : PlatformBench {
  long Set(u32 index, u32 flags, u32 start = 0, u32 count = 1,
           std::span<const std::byte> bytes = {}) {
    return SetIrqs(device, index, flags, start, count, bytes);
  }
  long SetFd(u32 index, u32 action, int fd) { return Set(index, kFd | action, 0, 1, BytesOf(fd)); }
  int a = client.AddEventfd(), b = client.AddEventfd();
};

}  // namespace

TEST_CASE("a level can be masked and masks itself, an edge does neither", "[platform]") {
  Lab bench;
  CHECK(bench.Irq(kLevel).flags == 7);
  CHECK(bench.Irq(kEdge).flags == 1);
  CHECK(bench.Irq(2).count == 1);
  vfio_irq_info beyond{.argsz = 16, .index = 3};
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_GET_IRQ_INFO, beyond) == -EINVAL);
}

TEST_CASE("SET_IRQS of a platform device checks argsz, index, flags and data type", "[platform]") {
  Lab bench;
  const u32 short_header[] = {19, kNone | kTrigger, 0, 0, 1};
  bench.client.mm().Poke(Bench::kArguments, std::as_bytes(std::span{short_header}));
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_SET_IRQS, Bench::kArguments) == -EINVAL);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_SET_IRQS, 0xdead000) == -EFAULT);
  CHECK(bench.Set(3, kNone | kTrigger) == -EINVAL);
  CHECK(bench.Set(kLevel, kNone | kTrigger | 64) == -EINVAL);
  CHECK(bench.Set(kLevel, kTrigger) == -EINVAL);
  CHECK(bench.Set(kLevel, kNone | kBool | kTrigger) == -EINVAL);
  CHECK(bench.Set(kLevel, kBool | kTrigger) == -EINVAL);
  CHECK(bench.Set(kLevel, kFd | kTrigger, 0, 1, std::array<std::byte, 3>{}) == -EINVAL);
}

TEST_CASE("start and count are held against the number of indexes, then must be 0 and 1",
          "[platform]") {
  Lab bench;
  CHECK(bench.Set(kLevel, kNone, 3, 0) == -EINVAL);
  CHECK(bench.Set(kLevel, kNone, 1, 3) == -EINVAL);
  CHECK(bench.Set(kLevel, kNone, 1, 2) == -ENOTTY);  // so far it is fine, but has no action
  for (const u32 action : {kMask, kUnmask, kTrigger}) {
    CHECK(bench.Set(kLevel, kNone | action, 1, 1) == -EINVAL);
    CHECK(bench.Set(kLevel, kNone | action, 0, 2) == -EINVAL);
    CHECK(bench.Set(kLevel, kBool | action, 0, 0) == -EINVAL);
  }
  CHECK(bench.Set(kLevel, kNone | kMask | kUnmask) == -ENOTTY);
}

TEST_CASE("an edge cannot be masked", "[platform]") {
  Lab bench;
  CHECK(bench.Set(kEdge, kNone | kMask) == -EINVAL);
  CHECK(bench.Set(kEdge, kNone | kUnmask) == -EINVAL);
  CHECK(bench.SetFd(kEdge, kUnmask, bench.a) == -EINVAL);
}

TEST_CASE("a level signals once and then is masked, until it is unmasked", "[platform]") {
  Lab bench;
  REQUIRE(bench.SetFd(kLevel, kTrigger, bench.a) == 0);
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(bench.a) == 1);
  bench.platform().SetIrq(0, false);
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.Set(kLevel, kNone | kUnmask) == 0);  // it is still asserted
  CHECK(bench.client.Signals(bench.a) == 1);
  bench.platform().SetIrq(0, false);
  CHECK(bench.Set(kLevel, kBool | kUnmask, 0, 1, kNo) == 0);
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(bench.a) == 0);
  bench.platform().SetIrq(0, false);
  CHECK(bench.Set(kLevel, kBool | kUnmask, 0, 1, kYes) == 0);
  CHECK(bench.client.Signals(bench.a) == 0);
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(bench.a) == 1);
}

TEST_CASE("a level that the client has masked is signalled when it is unmasked", "[platform]") {
  Lab bench;
  REQUIRE(bench.Set(kLevel, kBool | kMask, 0, 1, kYes) == 0);
  REQUIRE(bench.SetFd(kLevel, kTrigger, bench.a) == 0);
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.Set(kLevel, kNone | kUnmask) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
}

TEST_CASE("a level that is asserted already signals an eventfd as it is set", "[platform]") {
  Lab bench;
  bench.platform().SetIrq(0, true);
  REQUIRE(bench.SetFd(kLevel, kTrigger, bench.a) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
  REQUIRE(bench.SetFd(kLevel, kTrigger, bench.b) == 0);  // it has masked itself
  CHECK(bench.client.Signals(bench.b) == 0);
}

TEST_CASE("eventfds mask a level and unmask it", "[platform]") {
  Lab bench;
  const int trigger = bench.client.AddEventfd();
  REQUIRE(bench.SetFd(kLevel, kTrigger, trigger) == 0);
  REQUIRE(bench.SetFd(kLevel, kMask, bench.a) == 0);
  REQUIRE(bench.SetFd(kLevel, kUnmask, bench.b) == 0);
  CHECK(bench.SetFd(kLevel, kUnmask, bench.b) == -EBUSY);
  CHECK(bench.SetFd(kLevel, kMask, 999) == -EBADF);
  bench.client.Signal(bench.a);
  bench.LookAtEventfds();
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(trigger) == 0);
  bench.client.Signal(bench.b);
  bench.LookAtEventfds();
  CHECK(bench.client.Signals(trigger) == 1);
  CHECK(bench.SetFd(kLevel, kMask, -1) == 0);
  CHECK(bench.SetFd(kLevel, kUnmask, -1) == 0);
  CHECK(bench.environment.watches() == 0);
}

TEST_CASE("loop-back masks a level, also where nobody listens", "[platform]") {
  Lab bench;
  REQUIRE(bench.SetFd(kLevel, kTrigger, bench.a) == 0);
  CHECK(bench.Set(kLevel, kNone | kTrigger) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
  CHECK(bench.Set(kLevel, kBool | kTrigger, 0, 1, kYes) == 0);
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.Set(kLevel, kNone | kUnmask) == 0);
  CHECK(bench.Set(kLevel, kBool | kTrigger, 0, 1, kNo) == 0);
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.Set(2, kNone | kTrigger) == 0);
  REQUIRE(bench.SetFd(2, kTrigger, bench.b) == 0);
  bench.platform().SetIrq(2, true);
  CHECK(bench.client.Signals(bench.b) == 0);
}

TEST_CASE("an edge signals each time, loop-back too", "[platform]") {
  Lab bench;
  REQUIRE(bench.SetFd(kEdge, kTrigger, bench.a) == 0);
  bench.platform().PulseIrq(1);
  bench.platform().PulseIrq(1);
  CHECK(bench.client.Signals(bench.a) == 2);
  CHECK(bench.Set(kEdge, kNone | kTrigger) == 0);
  CHECK(bench.Set(kEdge, kBool | kTrigger, 0, 1, kYes) == 0);
  CHECK(bench.client.Signals(bench.a) == 2);
}

TEST_CASE("edges that nobody hears become one for the next eventfd", "[platform]") {
  Lab bench;
  bench.platform().PulseIrq(1);
  bench.platform().PulseIrq(1);
  REQUIRE(bench.SetFd(kEdge, kTrigger, bench.a) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
  REQUIRE(bench.SetFd(kEdge, kTrigger, bench.b) == 0);
  CHECK(bench.client.Signals(bench.b) == 0);
}

TEST_CASE("an eventfd is taken away with -1, with count 0, and for a bad one", "[platform]") {
  Lab bench;
  REQUIRE(bench.SetFd(kEdge, kTrigger, bench.a) == 0);
  CHECK(bench.SetFd(kEdge, kTrigger, -2) == 0);
  REQUIRE(bench.SetFd(kLevel, kTrigger, bench.a) == 0);
  CHECK(bench.Set(kLevel, kNone | kTrigger, 0, 0) == 0);
  REQUIRE(bench.SetFd(2, kTrigger, bench.a) == 0);
  CHECK(bench.SetFd(2, kTrigger, 999) == -EBADF);
  bench.platform().PulseIrq(1);
  bench.platform().SetIrq(0, true);
  bench.platform().SetIrq(2, true);
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.SetFd(2, kTrigger, bench.client.AddForeignFile()) == -EINVAL);
}

TEST_CASE("a reset keeps eventfds and masks, the last close does not", "[platform]") {
  Lab bench;
  REQUIRE(bench.SetFd(kLevel, kTrigger, bench.a) == 0);
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(bench.a) == 1);
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(bench.a) == 0);
  bench.Close(bench.device);
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(bench.a) == 0);
  bench.device = static_cast<int>(bench.GetDevice(bench.domain.group, kPlatform));
  REQUIRE(bench.SetFd(kLevel, kTrigger, bench.a) == 0);
  bench.platform().SetIrq(0, true);
  CHECK(bench.client.Signals(bench.a) == 1);
}
