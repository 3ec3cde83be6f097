#include "early/config.hpp"

#include <linux/pci_regs.h>

#include "early/capability_length.hpp"

namespace vfiolab::early {
namespace {

constexpr u32 kAll = 0xffffffff;
constexpr u8 kDecode = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
constexpr u8 kIntxDisable = PCI_COMMAND_INTX_DISABLE >> 8;  // of the byte behind

constexpr bool IsBar(std::size_t at) {
  return (at >= PCI_BASE_ADDRESS_0 && at < PCI_CARDBUS_CIS) ||
         (at >= PCI_ROM_ADDRESS && at < PCI_ROM_ADDRESS + 4);
}

}  // namespace

Config::Config(DeviceSlot& slot, Events& events)
    : slot_(slot),
      events_(events),
      kept_(slot.config().size()),
      writable_(slot.config().size()),
      claimed_(slot.config().size()) {
  for (const std::byte byte : slot.config().bytes()) copy_.push_back(static_cast<u8>(byte));
  BuildHeader();
  BuildCapabilities();
  const u8 pcix = slot.config().FindCapability(PCI_CAP_ID_PCIX);
  const bool extended = slot.config().FindCapability(PCI_CAP_ID_EXP) != 0 ||
                        (pcix != 0 && CapabilityLength(slot.config(), pcix) > 8);
  if (extended && size() > kConventionalConfigSize) BuildExtendedCapabilities();
}

void Config::Claim(std::size_t at, std::size_t length) {
  for (std::size_t i = at; i < at + length && i < size(); ++i) claimed_[i] = true;
}

void Config::Permit(std::size_t at, unsigned width, u32 kept, u32 writable) {
  for (unsigned i = 0; i < width && at + i < size(); ++i) {
    kept_[at + i] = static_cast<u8>(kept >> (8 * i));
    writable_[at + i] = static_cast<u8>(writable >> (8 * i));
  }
}

void Config::BuildHeader() {
  Claim(0, PCI_STD_HEADER_SIZEOF);
  Permit(PCI_VENDOR_ID, 4, kAll, 0);
  // The hardware of a virtual function leaves them out.
  const PciIdentity& identity = slot_.device().identity();
  for (const auto& [at, id] : {std::pair{std::size_t{PCI_VENDOR_ID}, identity.vendor_id},
                               std::pair{std::size_t{PCI_DEVICE_ID}, identity.device_id}}) {
    copy_[at] = static_cast<u8>(id);
    copy_[at + 1] = static_cast<u8>(id >> 8);
  }
  Permit(PCI_COMMAND, 2, kDecode | PCI_COMMAND_INTX_DISABLE, 0xffff);
  // The hardware may have it for an interrupt that is masked; the client has not set it yet.
  copy_[PCI_COMMAND + 1] &= static_cast<u8>(~kIntxDisable);
  for (const std::size_t at : {PCI_CACHE_LINE_SIZE, PCI_LATENCY_TIMER, PCI_BIST})
    Permit(at, 1, 0, 0xff);
  for (unsigned i = 0; i < PCI_STD_NUM_BARS; ++i) Permit(PCI_BASE_ADDRESS_0 + 4 * i, 4, kAll, kAll);
  Permit(PCI_ROM_ADDRESS, 4, kAll, kAll);
  Permit(PCI_INTERRUPT_LINE, 1, 0xff, 0xff);
}

void Config::BuildCapabilities() {
  constexpr unsigned kMost = 48;
  if ((slot_.config().Get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) == 0) return;
  std::size_t at = Hardware(PCI_CAPABILITY_LIST) & ~3u;
  for (unsigned i = 0; i < kMost && at >= PCI_STD_HEADER_SIZEOF; ++i) {
    BuildCapability(Hardware(at), at);
    at = Hardware(at + PCI_CAP_LIST_NEXT) & ~3u;
  }
}

void Config::BuildCapability(u8 id, std::size_t at) {
  const std::size_t length = CapabilityLength(slot_.config(), at);
  Claim(at, length);
  switch (id) {
    case PCI_CAP_ID_PM:
      return Permit(at + PCI_PM_CTRL, 4, 0, kAll);
    case PCI_CAP_ID_VPD:
      Permit(at + PCI_VPD_ADDR, 2, 0, 0xffff);
      return Permit(at + PCI_VPD_DATA, 4, 0, kAll);
    case PCI_CAP_ID_PCIX:
      Permit(at + PCI_X_CMD, 2, 0, 0xffff);
      return Permit(at + 8, length > 8 ? 4 : 0, 0, kAll);
    case PCI_CAP_ID_EXP:
      Permit(at + PCI_EXP_DEVCTL, 2, 0, 0xffff & ~u32{PCI_EXP_DEVCTL_PHANTOM});
      if ((Hardware(at + PCI_EXP_DEVCAP + 3) << 24 & PCI_EXP_DEVCAP_FLR) != 0)
        resets_[at + PCI_EXP_DEVCTL + 1] = PCI_EXP_DEVCTL_BCR_FLR >> 8;
      if (length > PCI_EXP_DEVCTL2)
        Permit(at + PCI_EXP_DEVCTL2, 2, 0, 0xffff & ~u32{PCI_EXP_DEVCTL2_ARI});
      return;
    case PCI_CAP_ID_MSI:
      return BuildMsi(at);
    case PCI_CAP_ID_AF:
      if ((Hardware(at + PCI_AF_CAP) & PCI_AF_CAP_FLR) != 0)
        resets_[at + PCI_AF_CTRL] = PCI_AF_CTRL_FLR;
      return Permit(at + PCI_AF_CTRL, 1, 0, PCI_AF_CTRL_FLR);
    default:
      return;
  }
}

void Config::BuildMsi(std::size_t at) {
  msi_flags_ = at + PCI_MSI_FLAGS;
  const u8 flags = Hardware(msi_flags_);
  const bool wide = (flags & PCI_MSI_FLAGS_64BIT) != 0;
  const std::size_t data = at + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32);
  Permit(msi_flags_, 1, 0xff, 0xff);
  Permit(at + PCI_MSI_ADDRESS_LO, 4, kAll, kAll);
  if (wide) Permit(at + PCI_MSI_ADDRESS_HI, 4, kAll, kAll);
  Permit(data, 2, 0xffff, 0xffff);
  if ((Hardware(msi_flags_ + 1) << 8 & PCI_MSI_FLAGS_MASKBIT) != 0)
    for (const std::size_t word : {data + 4, data + 8}) Permit(word, 4, 0, kAll);
}

void Config::BuildExtendedCapabilities() {
  constexpr unsigned kMost = (kExpressConfigSize - kConventionalConfigSize) / 8;
  std::size_t at = kConventionalConfigSize;
  for (unsigned i = 0; i < kMost && at >= kConventionalConfigSize; ++i) {
    const u32 header = slot_.config().Get(at, 4);
    if (header == 0 || header == kAll) return;
    Claim(at, ExtendedCapabilityLength(slot_.config(), at));
    if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_ERR) BuildAdvancedErrors(at);
    if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_PWR) Permit(at + PCI_PWR_DATA, 1, 0, 0xff);
    at = PCI_EXT_CAP_NEXT(header);
  }
}

void Config::BuildAdvancedErrors(std::size_t at) {
  constexpr u32 kUncorrectable = 0x03fff031, kCorrectable = 0x0000f1c1, kControl = 0x00000160;
  for (const std::size_t field : {PCI_ERR_UNCOR_STATUS, PCI_ERR_UNCOR_MASK, PCI_ERR_UNCOR_SEVER})
    Permit(at + field, 4, 0, kUncorrectable);
  for (const std::size_t field : {PCI_ERR_COR_STATUS, PCI_ERR_COR_MASK})
    Permit(at + field, 4, 0, kCorrectable);
  Permit(at + PCI_ERR_CAP, 4, 0, kControl);
}

u8 Config::Hardware(std::size_t at) const {
  return at < size() ? static_cast<u8>(slot_.config().Get(at, 1)) : u8{0};
}

void Config::SetHardware(std::size_t at, u8 value) { slot_.WriteConfig(at, BytesOf(value)); }

bool Config::intx_disabled() const { return (copy_[PCI_COMMAND + 1] & kIntxDisable) != 0; }

std::byte Config::Read(std::size_t at) {
  const u8 real = Hardware(at);
  // Behind the header, what nobody owns is not shown.
  if (!claimed_[at]) return std::byte{at <= PCI_STD_HEADER_SIZEOF ? real : u8{0}};
  if (IsBar(at) && bars_written_) MaskBars();
  u8 kept = copy_[at];
  if (at == msi_flags_)
    kept =
        static_cast<u8>((kept & ~PCI_MSI_FLAGS_QMASK) | events_.MsiLog2Vectors().value_or(0) << 1);
  return std::byte{static_cast<u8>((real & ~kept_[at]) | (kept & kept_[at]))};
}

void Config::Write(std::size_t at, std::byte value) {
  const u8 writable = writable_[at], kept = kept_[at];
  if (!claimed_[at] || writable == 0) return;
  const u8 real = Hardware(at);
  const u8 seen = static_cast<u8>((copy_[at] & kept) | (real & ~kept));
  copy_[at] = static_cast<u8>((seen & ~writable) | (static_cast<u8>(value) & writable));
  if (IsBar(at)) bars_written_ = true;
  if (at == PCI_COMMAND || at == PCI_COMMAND + 1) return FixCommand(at);
  if (at == msi_flags_) return FixMsiFlags(at);
  if (kept != 0xff) SetHardware(at, static_cast<u8>((copy_[at] & ~kept) | (real & kept)));
  if (const auto reset = resets_.find(at); reset != resets_.end() && (copy_[at] & reset->second))
    events_.OnFunctionLevelReset();
}

// The hardware decodes what the client says; INTx the interrupts look after.
void Config::FixCommand(std::size_t at) {
  if (at == PCI_COMMAND) return SetHardware(at, copy_[at]);
  SetHardware(at, static_cast<u8>((copy_[at] & ~kIntxDisable) | (Hardware(at) & kIntxDisable)));
  events_.OnIntxDisable(intx_disabled());
}

// MSI is enabled, and has as many vectors, as its ioctl says.
void Config::FixMsiFlags(std::size_t at) {
  const auto enabled = events_.MsiLog2Vectors();
  const unsigned most = enabled.value_or(0);
  u8& flags = copy_[at];
  if (!enabled) flags &= static_cast<u8>(~PCI_MSI_FLAGS_ENABLE);
  if ((flags & PCI_MSI_FLAGS_QSIZE) >> 4 > static_cast<int>(most))
    flags = static_cast<u8>((flags & ~PCI_MSI_FLAGS_QSIZE) | most << 4);
}

// What an address of the BAR's size can be, with the bits that tell its kind.
void Config::MaskBars() {
  const auto mask = [&](std::size_t at, u32 bits, u32 kind) {
    for (unsigned i = 0; i < 4; ++i)
      copy_[at + i] = static_cast<u8>((copy_[at + i] & (bits >> (8 * i))) | kind >> (8 * i));
  };
  for (unsigned i = 0; i < PCI_STD_NUM_BARS; ++i) {
    const std::size_t at = PCI_BASE_ADDRESS_0 + 4 * i;
    const auto& bar = slot_.bars()[i];
    const bool upper_half = i > 0 && slot_.bars()[i - 1] && slot_.bars()[i - 1]->wide;
    if (!bar) {
      if (!upper_half) mask(at, 0, 0);
      continue;
    }
    const u64 bits = ~(bar->size - 1);
    mask(at, static_cast<u32>(bits), bar->TypeBits());
    if (bar->wide) mask(at + 4, static_cast<u32>(bits >> 32), 0);
  }
  const auto& rom = slot_.rom_layout();
  mask(PCI_ROM_ADDRESS, rom ? ~(rom->size - 1) | PCI_ROM_ADDRESS_ENABLE : 0, 0);
  bars_written_ = false;
}

}  // namespace vfiolab::early
