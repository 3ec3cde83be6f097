// The config space that a client of vfio-pci sees: some bits are the hardware's, some are kept
// beside it, some cannot be written (vfio_pci_config.c).
#pragma once
#include <functional>
#include <vector>

#include "machine/device_slot.hpp"

namespace vfiolab::vfio {

// What writes to config space set off elsewhere.
class ConfigEvents {
 public:
  virtual ~ConfigEvents() = default;
  virtual void OnIntxDisableChanged(bool disabled) = 0;
  virtual void OnFunctionLevelReset() = 0;
  // The exponent of the vectors MSI is enabled with; nothing when it is off.
  virtual std::optional<unsigned> MsiLog2Vectors() const = 0;
};

class VirtualConfig {
 public:
  // Takes the picture that a first open takes: what the hardware shows now.
  VirtualConfig(DeviceSlot& slot, ConfigEvents& events);

  std::size_t size() const { return virtual_.size(); }

  // The kernel cuts accesses into aligned pieces of 4, 2 and 1 bytes that do not cross a
  // capability: how many of the `left` bytes from `at` on are the next one. All lies inside.
  std::size_t PieceLength(std::size_t at, std::size_t left) const;
  // Of one piece.
  void Read(std::size_t at, std::span<std::byte> to);
  void Write(std::size_t at, std::span<const std::byte> from);

  // As the client set it, and not in D3hot: decides whether memory BARs answer.
  bool memory_enabled() const;
  bool intx_disabled() const;
  bool has_interrupt_pin() const;

 private:
  // Who owns a byte.
  enum class Owner : u8 { kHeader, kGap, kMsi, kMsix, kExpress, kPower, kAdvanced, kOther };

  void BuildHeader();
  void BuildVirtualFunction();
  void BuildCapabilities();
  void BuildCapability(u8 id, std::size_t at, std::size_t length);
  void BuildExtendedCapabilities();
  void PermitPower(std::size_t at);
  void PermitMsi(std::size_t at);
  void PermitExpress(std::size_t at, std::size_t length);
  void PermitExtended(std::size_t at, std::size_t length);
  void Claim(std::size_t at, std::size_t length, Owner owner);
  // Bits in `virtual_bits` live here, not in hardware; bits in `writable` may be written.
  void Permit(std::size_t at, unsigned width, u32 virtual_bits, u32 writable);

  void WriteDefault(std::size_t at, unsigned width, u32 value);
  void WriteHeader(std::size_t at, unsigned width, u32 value);
  void WriteMsi(std::size_t at, unsigned width, u32 value);
  void WriteExpress(std::size_t at, unsigned width, u32 value);
  void WritePower(std::size_t at, unsigned width, u32 value);
  void WriteAdvanced(std::size_t at, unsigned width, u32 value);
  void SizeBars();

  u32 Virtual(std::size_t at, unsigned width) const;
  void SetVirtual(std::size_t at, unsigned width, u32 value);

  DeviceSlot& slot_;
  ConfigEvents& events_;
  std::vector<std::byte> virtual_;        // vconfig
  std::vector<std::byte> virtual_bits_;   // 1: the bit comes from vconfig
  std::vector<std::byte> writable_bits_;  // 1: the client may change the bit
  std::vector<Owner> owners_;
  std::vector<u16> owner_starts_;
  bool bars_written_ = false;
};

}  // namespace vfiolab::vfio
