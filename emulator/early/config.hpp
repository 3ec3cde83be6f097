// The config space that a client of 2010 to 2012 sees: each byte is the hardware's, or kept beside
// it, or both, and some can be written (drivers/vfio/vfio_pci_config.c of that time).
#pragma once
#include <map>
#include <optional>
#include <vector>

#include "machine/device_slot.hpp"

namespace vfiolab::early {

class Config {
 public:
  // What it asks and tells its device.
  class Events {
   public:
    virtual ~Events() = default;
    // The client has written COMMAND.INTX_DISABLE, perhaps as it was.
    virtual void OnIntxDisable(bool disabled) = 0;
    virtual void OnFunctionLevelReset() = 0;
    // The exponent of the vectors that MSI has; nothing when it is off.
    virtual std::optional<unsigned> MsiLog2Vectors() const = 0;
  };

  // Takes a picture of what the hardware shows now.
  Config(DeviceSlot& slot, Events& events);

  std::size_t size() const { return copy_.size(); }
  // `at` is below size().
  std::byte Read(std::size_t at);
  void Write(std::size_t at, std::byte value);

  bool intx_disabled() const;

 private:
  void BuildHeader();
  void BuildCapabilities();
  void BuildCapability(u8 id, std::size_t at);
  void BuildMsi(std::size_t at);
  void BuildExtendedCapabilities();
  void BuildAdvancedErrors(std::size_t at);
  void Claim(std::size_t at, std::size_t length);
  // Bits in `kept` live in the copy; bits in `writable` may be written.
  void Permit(std::size_t at, unsigned width, u32 kept, u32 writable);

  u8 Hardware(std::size_t at) const;
  void SetHardware(std::size_t at, u8 value);
  void MaskBars();
  void FixCommand(std::size_t at);
  void FixMsiFlags(std::size_t at);

  DeviceSlot& slot_;
  Events& events_;
  std::vector<u8> copy_;
  std::vector<u8> kept_;
  std::vector<u8> writable_;
  std::vector<bool> claimed_;         // by the header or a capability
  std::size_t msi_flags_ = 0;         // where they are; 0: there is no MSI
  std::map<std::size_t, u8> resets_;  // bytes with a bit that resets the function
  bool bars_written_ = true;  // what was written is not yet what an address of that size can be
};

}  // namespace vfiolab::early
