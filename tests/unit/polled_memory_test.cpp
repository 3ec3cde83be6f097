// Memory whose words a device hears of.
#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

struct Doorbells : Bench {
  Doorbells() : Bench({{kFirst, &fake_devices::kDoorbell, 1}}), device(OpenAll().device) {}

  // As a client does that has the BAR mapped.
  void Ring(std::size_t bell, u32 word) {
    StoreBytes(slot().device().bar(0)->handler->memory().subspan(4 * bell), word);
  }
  // Without coming through the Door.
  u32 Heard(std::size_t bell) {
    u32 word = 0;
    std::memcpy(&word, slot().device().bar(2)->handler->memory().data() + 4 * bell, sizeof word);
    return word;
  }
  int device;

 private:
  static void StoreBytes(std::span<std::byte> to, u32 word) {
    std::memcpy(to.data(), &word, sizeof word);
  }
};

}  // namespace

TEST_CASE("a device hears of a word in polled memory when anything comes through the door",
          "[polled]") {
  Doorbells bench;
  bench.Ring(7, 0x12345678);
  CHECK(bench.Heard(7) == 0);
  bench.Wait(Time{});
  CHECK(bench.Heard(7) == 0x12345678);
  bench.Ring(7, 2);
  CHECK(bench.Ioctl(bench.device, VFIO_DEVICE_RESET + 1000) == -ENOTTY);
  CHECK(bench.Heard(7) == 2);
}

TEST_CASE("of several stores to one word a device hears the last", "[polled]") {
  Doorbells bench;
  bench.Listen();
  for (u32 word : {5u, 6u, 7u}) bench.Ring(0, word);
  bench.Ring(1023, 9);
  bench.Wait(Time{});
  CHECK(bench.Heard(0) == 7);
  CHECK(bench.Heard(1023) == 9);
  CHECK(bench.trace_text.find("memory 0000:01:00.0 BAR0+0x0 07000000") != std::string::npos);
  CHECK(bench.trace_text.find("memory 0000:01:00.0 BAR0+0xffc 09000000") != std::string::npos);
  bench.trace_text.clear();
  bench.Wait(Time{});
  CHECK(bench.trace_text.find("memory") == std::string::npos);
}

TEST_CASE("a device hears of a call's write to polled memory at once", "[polled]") {
  Doorbells bench;
  bench.Store<u32>(bench.device, Region(0) + 8, 77);
  CHECK(bench.Heard(2) == 77);
  CHECK(bench.Load<u32>(bench.device, Region(0) + 8) == 77);
}

TEST_CASE("a reset clears doorbells, of which the device does not hear", "[polled]") {
  Doorbells bench;
  bench.Ring(3, 4);
  bench.Wait(Time{});
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_RESET) == 0);
  CHECK(bench.Load<u32>(bench.device, Region(0) + 12) == 0);
  CHECK(bench.Heard(3) == 4);
  bench.Ring(3, 4);
  bench.Wait(Time{});
  CHECK(bench.Heard(3) == 4);
}

TEST_CASE("polled memory can be mapped as it is", "[polled]") {
  Doorbells bench;
  vfio_region_info info{.argsz = sizeof info, .index = 0};
  REQUIRE(bench.Ioctl(bench.device, VFIO_DEVICE_GET_REGION_INFO, info) == 0);
  CHECK((info.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0);
  CHECK(bench.Mmap(bench.device, Region(0), kPageSize) >= 0);
}
