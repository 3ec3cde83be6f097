// QEMU's teaching device (docs/specs/edu.rst): a factorial unit, an interrupt and a DMA engine.
#include <chrono>

#include "fake_devices/models.hpp"

namespace vfiolab::fake_devices {
namespace {

using namespace std::chrono_literals;

enum Reg : Offset {
  kId = 0x00,
  kLiveness = 0x04,
  kFactorial = 0x08,
  kStatus = 0x20,
  kIrqStatus = 0x24,
  kIrqRaise = 0x60,
  kIrqAck = 0x64,
  kDmaSource = 0x80,
  kDmaTarget = 0x88,
  kDmaCount = 0x90,
  kDmaCommand = 0x98,
};
constexpr u64 kComputing = 0x01, kIrqAfterFactorial = 0x80;           // STATUS
constexpr u64 kDmaRun = 0x1, kDmaToMemory = 0x2, kIrqAfterDma = 0x4;  // DMA_COMMAND
constexpr u64 kFactorialDone = 0x001, kDmaDone = 0x100;               // IRQ_STATUS
constexpr u64 kBufferBase = 0x40000;

PciIdentity IdentityOf(const Params& params) {
  return {.vendor_id = 0x1234,
          .device_id = 0x11e8,
          .revision = 0x10,
          .class_code = 0x00ff00,
          .interrupt_pin = 1,
          .msi_vectors = 1,
          .msix_vectors = static_cast<unsigned>(params["msix_vectors"])};
}

class Edu final : public PciDevice {
 public:
  Edu(DeviceHost& host, const Params& params)
      : PciDevice(host, IdentityOf(params)),
        dma_mask_((u64{1} << params["dma_mask_bits"]) - 1),
        resets_(params["resets"] != 0) {}

  bool hears_reset() const override { return resets_; }

 private:
  bool FactorialIdle() const { return !(regs_[kStatus] & kComputing); }
  bool DmaIdle() const { return !(regs_[kDmaCommand] & kDmaRun); }

  static unsigned Widths(Offset at) { return at < kDmaSource ? 4 : 4 + 8; }

  u64 Unreadable() { return kAllBits; }
  void OnLiveness(u64 written) { regs_[kLiveness] = ~written; }
  void OnIrqAck(u64 causes) {
    regs_[kIrqStatus] &= ~causes;
    if (regs_[kIrqStatus] == 0) host().SetIntx(false);
  }
  void OnIrqRaise(u64 causes) {
    regs_[kIrqStatus] |= causes;
    if (regs_[kIrqStatus] == 0) return;
    if (host().MsiEnabled())
      host().SignalMsi(0);
    else
      host().SetIntx(true);
  }

  void OnFactorial(u64 n) {
    regs_[kStatus] |= kComputing;
    host().After(1ms, [this, n] {
      u32 product = 1;  // wraps, as the hardware does: 0 from n = 34 on, so stop there
      for (u64 i = n; i > 1 && product != 0; --i) product *= static_cast<u32>(i);
      regs_[kFactorial] = product;
      regs_[kStatus] &= ~kComputing;
      if (regs_[kStatus] & kIrqAfterFactorial) OnIrqRaise(kFactorialDone);
    });
  }

  void OnDmaCommand(u64 command) {
    if (!(command & kDmaRun)) return;
    regs_[kDmaCommand] = command;
    host().After(100ms, [this] { RunDma(); });
  }

  void RunDma() {
    const bool out = regs_[kDmaCommand] & kDmaToMemory;
    const u64 start = regs_[out ? kDmaSource : kDmaTarget] - kBufferBase;
    const Iova bus{Clamp(regs_[out ? kDmaTarget : kDmaSource])};
    if (auto window = Subspan(buffer_, start, regs_[kDmaCount]); !window)
      host().GuestError("DMA outside the 4 KiB buffer");
    else  // A fault is the IOMMU's to record: edu has no error register.
      out ? host().DmaWrite(bus, *window).IgnoreError()
          : host().DmaRead(bus, *window).IgnoreError();
    regs_[kDmaCommand] &= ~kDmaRun;
    if (regs_[kDmaCommand] & kIrqAfterDma) OnIrqRaise(kDmaDone);
  }

  u64 Clamp(u64 address) {
    if (address & ~dma_mask_) host().GuestError("DMA address beyond the DMA mask: clamped");
    return address & dma_mask_;
  }

  void OnReset() override { buffer_.fill(std::byte{0}); }

  u64 dma_mask_;
  bool resets_;
  std::array<std::byte, 4096> buffer_{};
  // clang-format off
  RegisterBank<Edu>& regs_ = AddBar(0, {.size = 1_MiB, .widths = &Widths}, *this, Registers<Edu>({
    {"ID",          kId,         {.reset = 0x010000ed}},
    {"LIVENESS",    kLiveness,   {.on_write = &Edu::OnLiveness}},
    {"FACTORIAL",   kFactorial,  {.writable = kAllBits, .writable_if = &Edu::FactorialIdle, .on_write = &Edu::OnFactorial}},
    {"STATUS",      kStatus,     {.writable = kIrqAfterFactorial}},
    {"IRQ_STATUS",  kIrqStatus,  {}},
    {"IRQ_RAISE",   kIrqRaise,   {.on_write = &Edu::OnIrqRaise, .on_read = &Edu::Unreadable}},
    {"IRQ_ACK",     kIrqAck,     {.on_write = &Edu::OnIrqAck, .on_read = &Edu::Unreadable}},
    {"DMA_SOURCE",  kDmaSource,  {.width = 8, .whole = true, .writable = kAllBits, .writable_if = &Edu::DmaIdle}},
    {"DMA_TARGET",  kDmaTarget,  {.width = 8, .whole = true, .writable = kAllBits, .writable_if = &Edu::DmaIdle}},
    {"DMA_COUNT",   kDmaCount,   {.width = 8, .whole = true, .writable = kAllBits, .writable_if = &Edu::DmaIdle}},
    {"DMA_COMMAND", kDmaCommand, {.width = 8, .whole = true, .writable_if = &Edu::DmaIdle, .on_write = &Edu::OnDmaCommand}},
  }));
  // clang-format on
};

constexpr ParamSpec kParams[] = {
    {"dma_mask_bits", "width of a DMA address", 28, 12, 64 - 1},
    {"msix_vectors", "size of an MSI-X table, which QEMU's has not", 0, 0, 32},
    {"resets", "1: a reset starts it anew; 0: as in QEMU", 1, 0, 1}};

}  // namespace

constinit const Model kEdu =
    ModelOf<Edu>("edu", "QEMU's teaching device: factorial, interrupt, DMA", kParams);

}  // namespace vfiolab::fake_devices
