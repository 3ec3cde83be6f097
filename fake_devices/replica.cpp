// Looks like a device of which there is a dump of config space. Its BARs keep what is written to
// them, and that is all it does.
#include <linux/pci_regs.h>

#include <algorithm>
#include <array>
#include <map>

#include "fake_devices/models.hpp"

namespace vfiolab::fake_devices {
namespace {

// Registers that remember.
class Ports final : public BarHandler {
 public:
  explicit Ports(u64 size) : bytes_(size) {}
  void Read(Offset at, std::span<std::byte> out) override {
    std::memcpy(out.data(), bytes_.data() + at, out.size());
  }
  void Write(Offset at, std::span<const std::byte> in) override {
    std::memcpy(bytes_.data() + at, in.data(), in.size());
  }
  void Reset() override { std::ranges::fill(bytes_, std::byte{0}); }

 private:
  std::vector<std::byte> bytes_;
};

// Memory with the MSI-X table or its pending bits in it.
class MsixMemory final : public BarHandler {
 public:
  struct Range {
    u64 begin = 0, end = 0;
    bool Meets(Offset at, std::size_t count) const { return at < end && at + count > begin; }
  };
  MsixMemory(std::span<std::byte> bytes, Range table, Range pending)
      : bytes_(bytes), table_(table), pending_(pending) {
    Reset();
  }
  std::span<std::byte> memory() override { return bytes_; }
  void Read(Offset at, std::span<std::byte> out) override {
    std::memcpy(out.data(), bytes_.data() + at, out.size());
  }
  void Write(Offset at, std::span<const std::byte> in) override {
    if (pending_.Meets(at, in.size())) return;  // read-only
    std::memcpy(bytes_.data() + at, in.data(), in.size());
  }
  void Reset() override {
    const auto clear = [&](const Range& range) {
      std::fill(bytes_.begin() + static_cast<long>(range.begin),
                bytes_.begin() + static_cast<long>(range.end), std::byte{0});
    };
    clear(table_);
    clear(pending_);
    for (u64 entry = table_.begin; entry < table_.end; entry += PCI_MSIX_ENTRY_SIZE)
      bytes_[entry + PCI_MSIX_ENTRY_VECTOR_CTRL] = std::byte{PCI_MSIX_ENTRY_CTRL_MASKBIT};
  }

 private:
  std::span<std::byte> bytes_;
  Range table_, pending_;
};

// The legacy addresses of VGA: bytes that remember, and behind some ports a register for each value
// that the port below holds.
class Vga final : public BarHandler {
 public:
  void Read(Offset at, std::span<std::byte> out) override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = ByteAt(at + i);
  }
  void Write(Offset at, std::span<const std::byte> in) override {
    for (std::size_t i = 0; i < in.size(); ++i) ByteAt(at + i) = in[i];
  }
  void Reset() override {
    std::ranges::fill(bytes_, std::byte{0});
    indexed_.clear();
  }

 private:
  static constexpr u64 kEnd = 0xc0000;
  // Data ports of the CRT controller (monochrome, colour), the sequencer, and graphics.
  static constexpr std::array<Offset, 4> kIndexed{0x3b5, 0x3d5, 0x3c5, 0x3cf};

  std::byte& ByteAt(Offset at) {
    return std::ranges::count(kIndexed, at) == 0 ? bytes_[at] : indexed_[{at, bytes_[at - 1]}];
  }

  std::vector<std::byte> bytes_ = std::vector<std::byte>(kEnd);
  std::map<std::pair<Offset, std::byte>, std::byte> indexed_;
};

constexpr std::array<std::string_view, 6> kBarNames{"bar0", "bar1", "bar2", "bar3", "bar4", "bar5"};

class Replica final : public PciDevice {
 public:
  Replica(DeviceHost& host, const Params& params)
      : PciDevice(host, ConfigImage(params.Dump(kConfigDump), params.Dump(kWritableDump))) {
    for (unsigned i = 0; i < kBarNames.size(); ++i)
      if (const auto bar = image().BarAt(i))
        Add(i,
            {.size = params[kBarNames[i]], .space = bar->space, .prefetchable = bar->prefetchable});
    if (const u64 first = params["first"]; first != 0 && bar(0) != nullptr)
      bar(0)->handler->Write(0, std::as_bytes(std::span{&first, 1}).first(4));
    if (identity().is_vga()) AddVga(std::make_unique<Vga>());
  }

 private:
  void Add(unsigned index, BarSpec spec) {
    if (spec.space == BarSpace::kIo) {
      AddHandler(index, spec, std::make_unique<Ports>(spec.size));
      return;
    }
    MsixMemory::Range table, pending;
    if (const auto msix = image().FindMsix()) {
      if (msix->table_bar == index) table = {msix->table_offset, msix->TableEnd()};
      if (msix->pba_bar == index) pending = {msix->pba_offset, msix->PbaEnd()};
    }
    if (table.end == 0 && pending.end == 0) {
      AddMemoryBar(index, spec);
      return;
    }
    spec.mapping = BarMapping::kMemory;
    AddHandler(index, spec,
               std::make_unique<MsixMemory>(host().AllocateRegionMemory(index, spec.size), table,
                                            pending));
  }
};

constexpr u64 kLargest = 64 * 1_GiB;
constexpr ParamSpec kParams[] = {
    {"bar0", "bytes of BAR0, 0 for none", 0, 4, kLargest, true},
    {"bar1", "bytes of BAR1, 0 for none", 0, 4, kLargest, true},
    {"bar2", "bytes of BAR2, 0 for none", 0, 4, kLargest, true},
    {"bar3", "bytes of BAR3, 0 for none", 0, 4, kLargest, true},
    {"bar4", "bytes of BAR4, 0 for none", 0, 4, kLargest, true},
    {"bar5", "bytes of BAR5, 0 for none", 0, 4, kLargest, true},
    {"first", "what the first four bytes of BAR0 are at first", 0, 0, 0xffffffff},
};
constexpr DumpSpec kDumps[] = {
    {kConfigDump, "config space of the device, as `lspci -xxxx` prints it", true},
    {kWritableDump, "the bits of it that can be written, printed likewise", false},
};

}  // namespace

constinit const Model kReplica = ModelOf<Replica>(
    "replica", "looks like a device of which there is a config dump", kParams, kDumps);

}  // namespace vfiolab::fake_devices
