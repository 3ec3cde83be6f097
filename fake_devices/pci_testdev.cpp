// QEMU's pci-testdev (docs/specs/pci-testdev.rst): counts the writes to a place that each of its
// tests describes, by memory or by port; and, if asked, a BAR of plain memory.
#include <array>
#include <string>

#include "fake_devices/models.hpp"

namespace vfiolab::fake_devices {
namespace {

constexpr u64 kMemorySize = 2048, kPortSize = 128;  // each BAR is twice that
constexpr std::byte kMatch{0xfa}, kAny{0xce};

struct Test {
  struct Header {
    u8 test;
    u8 width;
    u8 pad[2];
    u32 offset;  // of the byte whose writes count
    std::byte data;
    u8 pad2[3];
    u32 count;
  };
  Header header;
  std::string name;
  bool counts;  // the others signal a notifier instead, which nobody outside sees

  // A byte of the header with the name behind it; the closing zero and all beyond read as zero.
  std::byte ByteAt(Offset at) const {
    if (at < sizeof header) return BytesOf(header)[at];
    at -= sizeof header;
    return at < name.size() ? std::byte(name[at]) : std::byte{0};
  }
};

class PciTestdev;

// One of the two test BARs; `first` is its first test's number.
class TestBar final : public BarHandler {
 public:
  TestBar(PciTestdev& device, unsigned first) : device_(device), first_(first) {}
  void Read(Offset at, std::span<std::byte> out) override;
  void Write(Offset at, std::span<const std::byte> in) override;
  void Reset() override {}

 private:
  PciTestdev& device_;
  unsigned first_;
};

class PciTestdev final : public PciDevice {
 public:
  PciTestdev(DeviceHost& host, const Params& params)
      : PciDevice(host, {.vendor_id = 0x1b36, .device_id = 0x0005}) {
    static constexpr const char* kNames[] = {"no-eventfd", "wildcard-eventfd", "datamatch-eventfd"};
    for (unsigned i = 0; i < tests_.size(); ++i) {
      const bool memory = i < kTestsPerBar;
      const std::string kind = kNames[i % kTestsPerBar];
      tests_[i] = {.header = {.test = static_cast<u8>(i),
                              .width = 1,
                              .pad = {},
                              .offset = static_cast<u32>((memory ? kMemorySize : kPortSize) + i),
                              .data = kind == "wildcard-eventfd" ? kAny : kMatch,
                              .pad2 = {},
                              .count = 0},
                   .name = (memory ? "mmio-" : "portio-") + kind,
                   .counts = kind == "no-eventfd"};
    }
    AddHandler(0, {.size = 2 * kMemorySize}, std::make_unique<TestBar>(*this, 0));
    AddHandler(1, {.size = 2 * kPortSize, .space = BarSpace::kIo},
               std::make_unique<TestBar>(*this, kTestsPerBar));
    if (const u64 size = params["membar"]; size != 0)
      AddMemoryBar(2, {.size = size, .space = BarSpace::kMemory64, .prefetchable = true});
  }

  static constexpr unsigned kTestsPerBar = 3;

  const Test* current() const { return current_; }
  void Select(unsigned test) {
    current_ = &tests_[test];
    current_->header.count = 0;
  }
  void Deselect() { current_ = nullptr; }
  void Count(Offset at, std::byte value) {
    if (current_ == nullptr || !current_->counts) return;
    if (at == current_->header.offset && value == current_->header.data) ++current_->header.count;
  }

 private:
  void OnReset() override { Deselect(); }

  std::array<Test, 2 * kTestsPerBar> tests_;
  Test* current_ = nullptr;
};

void TestBar::Read(Offset at, std::span<std::byte> out) {
  for (std::byte& byte : out) {
    byte = device_.current() != nullptr ? device_.current()->ByteAt(at) : std::byte{0};
    ++at;
  }
}

void TestBar::Write(Offset at, std::span<const std::byte> in) {
  for (const std::byte byte : in) {
    if (at == 0) {
      device_.Deselect();
      const unsigned test = std::to_integer<unsigned>(byte);
      if (test < PciTestdev::kTestsPerBar) device_.Select(first_ + test);
    } else {
      device_.Count(at, byte);
    }
    ++at;
  }
}

constexpr ParamSpec kParams[] = {
    {"membar", "bytes of plain memory behind BAR2, 0 for none", 0, kPageSize, 1_GiB, true}};

}  // namespace

constinit const Model kPciTestdev =
    ModelOf<PciTestdev>("pci-testdev", "QEMU's test device: counts writes; plain memory", kParams);

}  // namespace vfiolab::fake_devices
