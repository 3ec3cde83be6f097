// The author's side of a PCI device: what it is, and what its registers do.
#pragma once
#include <array>
#include <memory>
#include <string_view>

#include "device/config_image.hpp"
#include "device/device_host.hpp"
#include "device/memory_bar.hpp"
#include "device/model.hpp"
#include "device/register_map.hpp"

namespace vfiolab {

struct PciIdentity {
  u16 vendor_id;
  u16 device_id;
  u16 subsystem_vendor_id = 0x1af4;
  u16 subsystem_id = 0x1100;
  u8 revision = 0;
  u32 class_code = 0x00ff00;  // base, sub, interface: 0xBBSSII
  u8 interrupt_pin = 0;       // 0 none, 1 INTA .. 4 INTD
  unsigned msi_vectors = 0;   // 0, or a power of two up to 32
  unsigned msix_vectors = 0;  // 0..2048; the table and the PBA get a BAR of their own
  unsigned msix_bar = 5;
  u32 msix_table_offset = 0;  // in that BAR
  bool express = false;       // 4 KiB of config space and a PCI Express capability

  bool is_vga() const { return class_code >> 8 == 0x0300; }
};

class PciDevice {
 public:
  struct Bar {
    BarSpec spec;
    std::unique_ptr<BarHandler> handler;
  };

  PciDevice(DeviceHost& host, PciIdentity identity);
  // A device with the config space of another, which says what it is. It adds all BARs itself, that
  // of the MSI-X table too.
  PciDevice(DeviceHost& host, ConfigImage image);
  virtual ~PciDevice() = default;
  PciDevice(const PciDevice&) = delete;
  PciDevice& operator=(const PciDevice&) = delete;

  const PciIdentity& identity() const { return identity_; }
  // Empty unless the device was made from one.
  const ConfigImage& image() const { return image_; }
  // Null where the device has no such BAR.
  Bar* bar(unsigned index) { return bars_.at(index) ? &*bars_[index] : nullptr; }
  const Bar* bar(unsigned index) const { return bars_.at(index) ? &*bars_[index] : nullptr; }

  // The legacy addresses of a VGA controller: 0xa0000-0xbffff of memory, 0x3b0-0x3bb and
  // 0x3c0-0x3df of ports. Null where the device is none.
  BarHandler* vga() { return vga_.get(); }

  // Whether a reset of the function changes anything in the device.
  virtual bool hears_reset() const { return true; }
  // Function reset: registers take their reset values, then OnReset() runs. The machine has
  // cancelled the timers.
  void Reset();

 protected:
  DeviceHost& host() { return host_; }
  const DeviceHost& host() const { return host_; }

  // State that lies outside the register maps.
  virtual void OnReset() {}

  // A BAR of registers; `map` comes from Registers({...}).
  template <class D, std::size_t N>
  RegisterBank<D>& AddBar(unsigned index, BarSpec spec, D& self,
                          const std::array<Register<D>, N>& map) {
    return AddHandler(index, spec, std::make_unique<RegisterBank<D>>(self, map));
  }
  template <class D, std::size_t N>
  RegisterBank<D>& AddBar(unsigned index, u64 size, D& self,
                          const std::array<Register<D>, N>& map) {
    return AddBar(index, BarSpec{.size = size}, self, map);
  }
  // A BAR with a handler of the device's own.
  template <class Handler>
  Handler& AddHandler(unsigned index, BarSpec spec, std::unique_ptr<Handler> handler) {
    CHECK_OURS(std::has_single_bit(spec.size) && !bars_.at(index));
    if (spec.space == BarSpace::kIo) spec.mapping = BarMapping::kNone;
    Handler& reference = *handler;
    bars_[index] = Bar{spec, std::move(handler)};
    return reference;
  }
  void AddVga(std::unique_ptr<BarHandler> handler) { vga_ = std::move(handler); }
  // A BAR of memory that clients may map.
  MemoryBar& AddMemoryBar(unsigned index, BarSpec spec);
  // One whose words the device hears of when they change.
  PolledBar& AddPolledBar(unsigned index, BarSpec spec, PolledBar::Stored stored);

 private:
  DeviceHost& host_;
  PciIdentity identity_;
  ConfigImage image_;
  std::array<std::optional<Bar>, 6> bars_;
  std::unique_ptr<BarHandler> vga_;
};

}  // namespace vfiolab
