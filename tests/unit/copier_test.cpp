// The copier against its data sheet.
#include <catch2/catch.hpp>

#include "support/platform_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u64 kMemory = 0x200000, kIova = 0x100000;
constexpr u64 kSource = 0x08, kTarget = 0x10, kLength = 0x18, kControl = 0x1c, kStatus = 0x20;
constexpr u64 kStopped = 0x28, kAck = 0x30, kBell = 0x34;
constexpr u32 kBusy = 1, kDone = 2, kFailed = 4;
constexpr u32 kFdTrigger = 4 | 32;

struct Lab : PlatformBench {
  explicit Lab(std::map<std::string, u64> params = {})
      : PlatformBench(std::vector<PlacedPlatform>{{.name = kPlatform,
                                                   .model = &fake_devices::kCopier,
                                                   .group = 1,
                                                   .params = std::move(params)}}) {
    client.mm().Map(kMemory, 4_MiB);
    Must(Map(domain.container, kIova, kMemory, 4_MiB) == 0);
  }
  void Start(u64 source, u64 target, u32 length, u32 control = 3) {
    Store<u64>(device, kSource, source);
    Store<u64>(device, kTarget, target);
    Store<u32>(device, kLength, length);
    Store<u32>(device, kControl, control);
  }
  u32 Status() { return Load<u32>(device, kStatus); }
  int Trigger(u32 irq) {
    const int fd = client.AddEventfd();
    Must(SetIrqs(device, irq, kFdTrigger, 0, 1, BytesOf(fd)) == 0);
    return fd;
  }
};

}  // namespace

TEST_CASE("the copier copies after its delay and raises its level until that is acknowledged",
          "[copier]") {
  Lab lab;
  const int end = lab.Trigger(0);
  for (u32 i = 0; i < 5000; ++i) lab.client.mm().Put(kMemory + 2 * i, static_cast<u16>(i * 7));
  lab.Start(kIova, kIova + 1_MiB, 10000);
  lab.Wait(99us);
  CHECK(lab.Status() == kBusy);
  CHECK(lab.client.mm().Get<u16>(kMemory + 1_MiB + 2) == 0);
  lab.Wait(1us);
  CHECK(lab.Status() == kDone);
  CHECK(lab.client.Signals(end) == 1);
  for (u32 i = 0; i < 5000; ++i)
    REQUIRE(lab.client.mm().Get<u16>(kMemory + 1_MiB + 2 * i) == static_cast<u16>(i * 7));
  CHECK(lab.client.mm().Get<u16>(kMemory + 1_MiB + 10000) == 0);
  CHECK(lab.platform().asserted(0));
  lab.Store<u32>(lab.device, kAck, kDone);
  CHECK(lab.Status() == 0);
  CHECK_FALSE(lab.platform().asserted(0));
}

TEST_CASE("the copier raises nothing unless it was asked to", "[copier]") {
  Lab lab;
  lab.Start(kIova, kIova + 64, 64, 1);
  lab.Wait(100us);
  CHECK(lab.Status() == kDone);
  CHECK_FALSE(lab.platform().asserted(0));
}

TEST_CASE("the copier says where a DMA was stopped, and so does the machine", "[copier]") {
  Lab lab;
  lab.Start(kIova + 4_MiB - 4_KiB, kIova, 8_KiB);
  lab.Wait(100us);
  CHECK(lab.Status() == kFailed);
  CHECK(lab.Load<u64>(lab.device, kStopped) == kIova + 4_MiB);
  REQUIRE(lab.machine.fault_count() == 1);
  CHECK(lab.machine.faults().back().ToString() ==
        "DMA fault: fe000000.plain read of 4096 bytes stopped at iova 0x500000: the IOVA is not "
        "mapped");
  lab.Start(kIova, 8, 4);
  lab.Wait(100us);
  CHECK(lab.machine.faults().back().fault.access == Access::kWrite);
}

TEST_CASE("the copier refuses more than 1 MiB, and what is written while it copies", "[copier]") {
  Lab lab;
  lab.Start(kIova, kIova + 2_MiB, 1_MiB + 1);
  lab.Store<u32>(lab.device, kLength, 4);
  lab.Store<u32>(lab.device, kControl, 0);
  CHECK(lab.Load<u32>(lab.device, kLength) == 1_MiB + 1);
  lab.Wait(100us);
  CHECK(lab.Status() == kFailed);
  CHECK(lab.machine.fault_count() == 0);
}

TEST_CASE("a copier without a container's address space copies nothing", "[copier]") {
  Lab lab;
  lab.Start(kIova, kIova + 64, 64);
  lab.Close(lab.device);  // resets it: the copy is off
  lab.Wait(1ms);
  CHECK(lab.machine.fault_count() == 0);
  lab.Close(lab.domain.group);
  lab.Close(lab.domain.container);
  const u32 length = 4, start = 1;
  lab.platform().WriteRegion(0, kLength, BytesOf(length));
  lab.platform().WriteRegion(0, kControl, BytesOf(start));
  lab.Wait(1ms);
  REQUIRE(lab.machine.fault_count() == 1);
  CHECK(lab.machine.faults().back().fault.reason == FaultReason::kNotAttached);
}

TEST_CASE("the copier's bell is an event for each write", "[copier]") {
  Lab lab;
  const int bell = lab.Trigger(1);
  lab.Store<u32>(lab.device, kBell, 0);
  lab.Store<u32>(lab.device, kBell, 1);
  CHECK(lab.client.Signals(bell) == 2);
}

TEST_CASE("the copier takes as long, and has as much memory, as its parameters say", "[copier]") {
  Lab lab({{"delay_us", 5}, {"memory", 4_KiB}});
  CHECK(lab.Region(1).size == 4_KiB);
  CHECK(lab.Load<u32>(lab.device, 4) == 4_KiB);
  lab.Start(kIova, kIova + 64, 64);
  lab.Wait(5us);
  CHECK(lab.Status() == kDone);
  Lab without({{"memory", 0}});
  vfio_device_info info{.argsz = 16};
  REQUIRE(without.Ioctl(without.device, VFIO_DEVICE_GET_INFO, info) == 0);
  CHECK(info.num_regions == 1);
}

TEST_CASE("a reset while the copier waits for memory ends the copy", "[copier]") {
  Lab lab;
  lab.client.mm().Put(kMemory, u32{7});
  lab.client.mm().meanwhile = [&] { lab.platform().Reset(); };
  lab.Start(kIova, kIova + 1_MiB, 8_KiB);
  lab.Wait(100us);
  CHECK(lab.Status() == 0);
  CHECK_FALSE(lab.platform().asserted(0));
  CHECK(lab.machine.fault_count() == 0);
}
