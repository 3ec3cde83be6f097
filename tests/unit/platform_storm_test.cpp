// Whatever clients do with a platform device, in whatever order: nothing breaks, and in the end
// nobody has anything of it.
#include <random>

#include <catch2/catch.hpp>

#include "support/platform_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

class Storm : public PlatformBench {
 public:
  explicit Storm(unsigned seed) : random_(seed) {
    for (int i = 0; i < 3; ++i) eventfds_.push_back(client.AddEventfd());
    files_.push_back(device);
  }

  void Step() {
    switch (Below(8)) {
      case 0:
        return OpenOrClose();
      case 1:
        static_cast<void>(Ioctl(File(), VFIO_DEVICE_RESET));
        return;
      case 2:
        return client.Signal(eventfds_[Below(3)]);
      case 3:
        return LookAtEventfds();
      case 4:
        return Below(2) == 0 ? platform().PulseIrq(1) : platform().SetIrq(0, Below(2) == 0);
      case 5:
        return Transfer();
      default:
        return SetIrqsAnyhow();
    }
  }

  void CloseAll() {
    for (const int file : files_) Close(file);
    files_.clear();
  }

 private:
  u32 Below(u32 limit) { return static_cast<u32>(random_() % limit); }
  int File() { return files_[Below(static_cast<u32>(files_.size()))]; }

  void OpenOrClose() {
    if (files_.size() < 4) {
      files_.push_back(static_cast<int>(GetDevice(domain.group, kPlatform)));
      Must(files_.back() >= 0);
      return;
    }
    Close(files_.back());
    files_.pop_back();
  }

  void Transfer() {
    std::vector<std::byte> bytes(Below(24));
    const u64 offset = test::Region(Below(5)) + (Below(2) == 0 ? Below(32) : 0xff0 + Below(32));
    switch (Below(4)) {
      case 0:
        static_cast<void>(Read(File(), offset, bytes));
        return;
      case 1:
        static_cast<void>(Write(File(), offset, bytes));
        return;
      case 2:
        static_cast<void>(BusStore(File(), offset, bytes));
        return;
      default:
        static_cast<void>(Mmap(File(), offset & ~0xfffu, Below(0x3000)));
    }
  }

  void SetIrqsAnyhow() {
    const int fds[] = {Below(4) == 0 ? -1 : eventfds_[Below(3)], 999};
    const u32 type = 1u << Below(3), action = 8u << Below(3);
    static_cast<void>(SetIrqs(File(), Below(4), type | action, Below(8) == 0, Below(8) == 0 ? 2 : 1,
                              std::as_bytes(std::span{fds})));
  }

  std::mt19937 random_;
  std::vector<int> eventfds_;
  std::vector<int> files_;
};

}  // namespace

TEST_CASE("after any calls a platform device is as new when all its files are closed",
          "[platform]") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    Storm storm(seed);
    for (int i = 0; i < 500; ++i) storm.Step();
    storm.CloseAll();
    CHECK(storm.environment.watches() == 0);
    CHECK_FALSE(storm.platform().asserted(0));
    u32 value = 0;
    storm.platform().ReadRegion(0, 4, BytesOf(value));
    CHECK(value == 0x33333333);
    bool freed = false;
    REQUIRE(storm.machine.platform_bus().Unbind("vfio-platform", kPlatform, [&] { freed = true; }));
    CHECK(freed);
  }
}
