#include "vfio/virtual_config.hpp"

#include <linux/pci_regs.h>

#include "base/check.hpp"
#include "machine/machine.hpp"

namespace vfiolab::vfio {
namespace {

constexpr u32 kAll = 0xffffffff;

}  // namespace

VirtualConfig::VirtualConfig(DeviceSlot& slot, ConfigEvents& events)
    : slot_(slot),
      events_(events),
      virtual_(slot.config().bytes().begin(), slot.config().bytes().end()),
      virtual_bits_(virtual_.size()),
      // Bytes that nobody owns are the hardware's own business, read and write.
      writable_bits_(virtual_.size(), std::byte{0xff}),
      owners_(virtual_.size(), Owner::kGap),
      owner_starts_(virtual_.size()) {
  BuildHeader();
  if (slot_.physical_function() != nullptr) BuildVirtualFunction();
  if (!slot_.machine().kernel().line_interrupts) SetVirtual(PCI_INTERRUPT_PIN, 1, 0);
  bars_written_ = true;  // what a first read shows is what the kernel knows of them
  BuildCapabilities();
  BuildExtendedCapabilities();
}

u32 VirtualConfig::Virtual(std::size_t at, unsigned width) const {
  return static_cast<u32>(LoadLittleEndian(std::span{virtual_}.subspan(at, width)));
}

void VirtualConfig::SetVirtual(std::size_t at, unsigned width, u32 value) {
  StoreLittleEndian(std::span{virtual_}.subspan(at, width), value);
}

void VirtualConfig::Claim(std::size_t at, std::size_t length, Owner owner) {
  for (std::size_t i = at; i < at + length && i < owners_.size(); ++i) {
    owners_[i] = owner;
    owner_starts_[i] = static_cast<u16>(at);
    virtual_bits_[i] = writable_bits_[i] = std::byte{0};
  }
}

void VirtualConfig::Permit(std::size_t at, unsigned width, u32 virtual_bits, u32 writable) {
  if (at + width > size()) return;  // the tail of a capability that begins too late
  StoreLittleEndian(std::span{virtual_bits_}.subspan(at, width), virtual_bits);
  StoreLittleEndian(std::span{writable_bits_}.subspan(at, width), writable);
}

void VirtualConfig::BuildHeader() {
  Claim(0, PCI_STD_HEADER_SIZEOF, Owner::kHeader);
  Permit(PCI_VENDOR_ID, 4, kAll, 0);
  Permit(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, 0xffff);
  Permit(PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
  Permit(PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
  Permit(PCI_LATENCY_TIMER, 1, 0, 0xff);
  Permit(PCI_BIST, 1, 0, 0xff);
  for (unsigned i = 0; i < 6; ++i) Permit(PCI_BASE_ADDRESS_0 + 4 * i, 4, kAll, kAll);
  Permit(PCI_ROM_ADDRESS, 4, kAll, kAll);
  Permit(PCI_CAPABILITY_LIST, 1, 0xff, 0);
  Permit(PCI_INTERRUPT_LINE, 1, 0xff, 0xff);
  Permit(PCI_INTERRUPT_PIN, 1, 0xff, 0);
}

// What the hardware of a virtual function leaves out, the kernel puts in.
void VirtualConfig::BuildVirtualFunction() {
  const PciIdentity& identity = slot_.device().identity();
  SetVirtual(PCI_VENDOR_ID, 2, identity.vendor_id);
  SetVirtual(PCI_DEVICE_ID, 2, identity.device_id);
  SetVirtual(PCI_COMMAND, 2, Virtual(PCI_COMMAND, 2) | PCI_COMMAND_MEMORY);
  SetVirtual(PCI_INTERRUPT_PIN, 1, 0);
  Permit(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE | PCI_COMMAND_MEMORY, 0xffff);
}

std::size_t VirtualConfig::PieceLength(std::size_t at, std::size_t left) const {
  std::size_t length = at % 4 == 0 && left >= 4 ? 4 : at % 2 == 0 && left >= 2 ? 2 : 1;
  while (length > 1 && (owners_[at + length - 1] != owners_[at] ||
                        owner_starts_[at + length - 1] != owner_starts_[at]))
    length /= 2;
  return length;
}

void VirtualConfig::Read(std::size_t at, std::span<std::byte> to) {
  const auto width = static_cast<unsigned>(to.size());
  const bool bar = at >= PCI_BASE_ADDRESS_0 && at < PCI_ROM_ADDRESS + 4;
  if (bar && bars_written_) SizeBars();
  const u32 from_virtual =
      static_cast<u32>(LoadLittleEndian(std::span{virtual_bits_}.subspan(at, width)));
  StoreLittleEndian(
      to, (slot_.config().Get(at, width) & ~from_virtual) | (Virtual(at, width) & from_virtual));
}

void VirtualConfig::Write(std::size_t at, std::span<const std::byte> from) {
  const auto width = static_cast<unsigned>(from.size());
  const auto value = static_cast<u32>(LoadLittleEndian(from));
  switch (owners_[at]) {
    case Owner::kHeader:
      return WriteHeader(at, width, value);
    case Owner::kMsi:
      return WriteMsi(at, width, value);
    case Owner::kExpress:
      return WriteExpress(at, width, value);
    case Owner::kPower:
      return WritePower(at, width, value);
    case Owner::kAdvanced:
      return WriteAdvanced(at, width, value);
    default:
      return WriteDefault(at, width, value);
  }
}

void VirtualConfig::WriteDefault(std::size_t at, unsigned width, u32 value) {
  const auto bits = [&](const std::vector<std::byte>& mask) {
    return static_cast<u32>(LoadLittleEndian(std::span{mask}.subspan(at, width)));
  };
  const u32 kept = bits(virtual_bits_) & bits(writable_bits_);
  SetVirtual(at, width, (Virtual(at, width) & ~kept) | (value & kept));
  const u32 to_hardware = bits(writable_bits_) & ~bits(virtual_bits_);
  if (to_hardware == 0) return;
  const u32 merged = (slot_.config().Get(at, width) & ~to_hardware) | (value & to_hardware);
  slot_.WriteConfig(at, std::as_bytes(std::span{&merged, 1}).first(width));
}

void VirtualConfig::WriteHeader(std::size_t at, unsigned width, u32 value) {
  const bool was_disabled = intx_disabled();
  WriteDefault(at, width, value);
  if (at <= PCI_COMMAND && at + width > PCI_COMMAND) {
    const u32 written = value >> (8 * (PCI_COMMAND - at));
    constexpr u32 kDecode = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
    SetVirtual(PCI_COMMAND, 1, (Virtual(PCI_COMMAND, 1) & ~kDecode) | (written & kDecode));
  }
  if (at + width > PCI_COMMAND && at <= PCI_COMMAND + 1 && intx_disabled() != was_disabled)
    events_.OnIntxDisableChanged(!was_disabled);
  if (at >= PCI_BASE_ADDRESS_0 && at < PCI_ROM_ADDRESS + 4) bars_written_ = true;
}

void VirtualConfig::WriteMsi(std::size_t at, unsigned width, u32 value) {
  WriteDefault(at, width, value);
  const std::size_t flags_at = owner_starts_[at] + PCI_MSI_FLAGS;
  // A write that ends where the control word begins counts, too (vfio_msi_config_write).
  if (at > flags_at || at + width < flags_at) return;
  u32 flags = Virtual(flags_at, 2);
  const auto enabled = events_.MsiLog2Vectors();
  const unsigned most = enabled.value_or(0);
  if (!enabled) flags &= ~u32{PCI_MSI_FLAGS_ENABLE};
  if ((flags & PCI_MSI_FLAGS_QSIZE) >> 4 > most)
    flags = (flags & ~u32{PCI_MSI_FLAGS_QSIZE}) | most << 4;
  SetVirtual(flags_at, 2, flags);
  slot_.WriteConfig(flags_at, std::as_bytes(std::span{&flags, 1}).first(2));
}

void VirtualConfig::WriteExpress(std::size_t at, unsigned width, u32 value) {
  WriteDefault(at, width, value);
  const std::size_t start = owner_starts_[at];
  const u32 control = Virtual(start + PCI_EXP_DEVCTL, 2);
  if (!(control & PCI_EXP_DEVCTL_BCR_FLR)) return;
  SetVirtual(start + PCI_EXP_DEVCTL, 2, control & ~u32{PCI_EXP_DEVCTL_BCR_FLR});
  if (slot_.config().Get(start + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR)
    events_.OnFunctionLevelReset();
}

// The kernel makes the change itself (vfio_pm_config_write).
void VirtualConfig::WritePower(std::size_t at, unsigned width, u32 value) {
  WriteDefault(at, width, value);
  const std::size_t start = owner_starts_[at], control = start + PCI_PM_CTRL;
  if (at != control) return;
  constexpr u32 kD1 = 1, kD2 = 2, kD3hot = 3;
  const u32 state = value & PCI_PM_CTRL_STATE_MASK;
  const u32 capabilities = slot_.config().Get(start + PCI_PM_PMC, 2);
  if ((state == kD1 && !(capabilities & PCI_PM_CAP_D1)) ||
      (state == kD2 && !(capabilities & PCI_PM_CAP_D2)))
    return;
  const u32 before = slot_.config().Get(control, 2);
  const u32 after = (before & ~u32{PCI_PM_CTRL_STATE_MASK}) | state;
  slot_.WriteConfig(control, std::as_bytes(std::span{&after, 1}).first(2));
  const bool wakes = (before & PCI_PM_CTRL_STATE_MASK) == kD3hot && state != kD3hot;
  if (wakes && !(before & PCI_PM_CTRL_NO_SOFT_RESET)) events_.OnFunctionLevelReset();
}

void VirtualConfig::WriteAdvanced(std::size_t at, unsigned width, u32 value) {
  WriteDefault(at, width, value);
  const std::size_t control = owner_starts_[at] + PCI_AF_CTRL;
  if (!(Virtual(control, 1) & PCI_AF_CTRL_FLR)) return;
  SetVirtual(control, 1, Virtual(control, 1) & ~u32{PCI_AF_CTRL_FLR});
  constexpr u32 kBoth = PCI_AF_CAP_TP | PCI_AF_CAP_FLR;
  if ((slot_.config().Get(owner_starts_[at] + PCI_AF_CAP, 1) & kBoth) == kBoth)
    events_.OnFunctionLevelReset();
}

// What a write of all ones shows: the size mask with the type bits, as the hardware would.
void VirtualConfig::SizeBars() {
  for (unsigned i = 0; i < 6; ++i) {
    const std::size_t at = PCI_BASE_ADDRESS_0 + 4 * i;
    const auto& bar = slot_.bars()[i];
    if (!bar) {
      const bool upper_half = i > 0 && slot_.bars()[i - 1] && slot_.bars()[i - 1]->wide;
      if (!upper_half) SetVirtual(at, 4, 0);
      continue;
    }
    const u64 mask = ~(bar->size - 1);
    SetVirtual(at, 4, (Virtual(at, 4) & static_cast<u32>(mask)) | bar->TypeBits());
    if (bar->wide) SetVirtual(at + 4, 4, Virtual(at + 4, 4) & static_cast<u32>(mask >> 32));
  }
  const u32 rom_mask =
      slot_.rom_layout() ? ~(slot_.rom_layout()->size - 1) | PCI_ROM_ADDRESS_ENABLE : 0;
  SetVirtual(PCI_ROM_ADDRESS, 4, Virtual(PCI_ROM_ADDRESS, 4) & rom_mask);
  bars_written_ = false;
}

bool VirtualConfig::memory_enabled() const {
  // A virtual function decodes as long as its physical function lets it.
  if (slot_.physical_function() == nullptr && !(Virtual(PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
    return false;
  const u8 power = slot_.config().FindCapability(PCI_CAP_ID_PM);
  return power == 0 || (slot_.config().Get(power + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK) != 3;
}

bool VirtualConfig::has_interrupt_pin() const { return Virtual(PCI_INTERRUPT_PIN, 1) != 0; }

bool VirtualConfig::intx_disabled() const {
  return Virtual(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
}

}  // namespace vfiolab::vfio
