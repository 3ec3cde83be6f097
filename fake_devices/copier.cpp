// A DMA engine of our own, as a platform device: it copies memory to memory.
//
// Region 0, registers:
//   0x00  ID       read-only: 0xc0b1e001
//   0x04  MEMORY   read-only: how many bytes region 1 has
//   0x08  SOURCE   the IOVA to copy from, 64 bits. This and the next two are kept while it copies
//   0x10  TARGET   the IOVA to copy to, 64 bits
//   0x18  LENGTH   how many bytes, up to 1 MiB
//   0x1c  CONTROL  bit 0 starts a copy; bit 1: interrupt 0 is raised at its end
//   0x20  STATUS   read-only: bit 0 it copies; bit 1 a copy has ended well; bit 2 one has not
//   0x28  STOPPED  read-only: the IOVA where the last copy was stopped, 64 bits
//   0x30  ACK      bits 1 and 2, written, clear those of STATUS, and with both interrupt 0
//   0x34  BELL     each write is an event of interrupt 1
// Region 1: memory, which it never touches; absent with memory = 0.
// Interrupts: 0 is a level, 1 an edge.
#include <chrono>

#include "fake_devices/models.hpp"

namespace vfiolab::fake_devices {
namespace {

enum Reg : Offset {
  kId = 0x00,
  kMemory = 0x04,
  kSource = 0x08,
  kTarget = 0x10,
  kLength = 0x18,
  kControl = 0x1c,
  kStatus = 0x20,
  kStopped = 0x28,
  kAck = 0x30,
  kBell = 0x34,
};
constexpr u64 kStart = 1, kRaiseAtEnd = 2;        // CONTROL
constexpr u64 kBusy = 1, kDone = 2, kFailed = 4;  // STATUS
constexpr u64 kLongest = 1_MiB;
constexpr unsigned kEndIrq = 0, kBellIrq = 1;

class Copier final : public PlatformDevice {
 public:
  Copier(PlatformHost& host, const Params& params)
      : PlatformDevice(host, {.compatible = "vfiolab,copier",
                              .irqs = {IrqTrigger::kLevel, IrqTrigger::kEdge}}),
        delay_(std::chrono::microseconds(params["delay_us"])),
        memory_(params["memory"]) {
    if (memory_ > 0) AddMemoryRegion(memory_);
  }

 private:
  bool Idle() const { return !(regs_[kStatus] & kBusy); }
  u64 MemorySize() { return memory_; }

  void OnControl(u64 control) {
    if (!(control & kStart)) return;
    regs_[kStatus] |= kBusy;
    host().After(delay_, [this] { End(Copy()); });
  }

  bool Copy() {
    if (regs_[kLength] > kLongest) {
      host().GuestError("LENGTH beyond 1 MiB: nothing is copied");
      return false;
    }
    const u64 source = regs_[kSource], target = regs_[kTarget], length = regs_[kLength];
    std::array<std::byte, 4096> buffer;
    // A reset may come while memory is waited for; then it is idle.
    for (u64 at = 0; at < length && !Idle(); at += buffer.size()) {
      const auto part = std::span{buffer}.first(std::min(buffer.size(), length - at));
      auto moved = host().DmaRead(Iova{source + at}, part);
      if (moved) moved = host().DmaWrite(Iova{target + at}, part);
      if (moved) continue;
      regs_[kStopped] = Raw(moved.error().at);
      return false;
    }
    return true;
  }

  void End(bool well) {
    if (Idle()) return;
    regs_[kStatus] = (regs_[kStatus] & ~kBusy) | (well ? kDone : kFailed);
    if (regs_[kControl] & kRaiseAtEnd) host().SetIrq(kEndIrq, true);
  }

  void OnAck(u64 causes) {
    regs_[kStatus] &= ~(causes & (kDone | kFailed));
    if (!(regs_[kStatus] & (kDone | kFailed))) host().SetIrq(kEndIrq, false);
  }

  void OnBell(u64) { host().PulseIrq(kBellIrq); }

  std::chrono::nanoseconds delay_;
  u64 memory_;
  // clang-format off
  RegisterBank<Copier>& regs_ = AddRegion(4_KiB, *this, Registers<Copier>({
    {"ID",      kId,      {.reset = 0xc0b1e001}},
    {"MEMORY",  kMemory,  {.on_read = &Copier::MemorySize}},
    {"SOURCE",  kSource,  {.width = 8, .writable = kAllBits, .writable_if = &Copier::Idle}},
    {"TARGET",  kTarget,  {.width = 8, .writable = kAllBits, .writable_if = &Copier::Idle}},
    {"LENGTH",  kLength,  {.writable = 0xffffffff, .writable_if = &Copier::Idle}},
    {"CONTROL", kControl, {.writable = kRaiseAtEnd, .writable_if = &Copier::Idle, .on_write = &Copier::OnControl}},
    {"STATUS",  kStatus,  {}},
    {"STOPPED", kStopped, {.width = 8}},
    {"ACK",     kAck,     {.on_write = &Copier::OnAck}},
    {"BELL",    kBell,    {.on_write = &Copier::OnBell}},
  }));
  // clang-format on
};

constexpr ParamSpec kParams[] = {
    {"delay_us", "microseconds that a copy takes", 100, 0, 10'000'000},
    {"memory", "bytes of memory in region 1", 64_KiB, 4_KiB, 16_MiB, true}};

}  // namespace

constinit const Model kCopier =
    PlatformModelOf<Copier>("copier", "copies memory by DMA, with two interrupts", kParams);

}  // namespace vfiolab::fake_devices
