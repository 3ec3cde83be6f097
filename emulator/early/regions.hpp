// Regions of a device's file of 2010 to 2012: BARs, ROM and config space as ranges of file offsets
// (drivers/vfio/vfio_rdwr.c of that time).
#pragma once
#include "early/config.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::early {

// In what the interfaces differ.
struct RegionRules {
  unsigned shift = 40;    // region n begins at n << shift
  u32 number_mask = ~0u;  // the bits of a region's number that count
  u32 config = 7;         // which of them config space is
  // Memory is moved by 4, 2 and 1 bytes; else as memcpy() moves it.
  bool moves_in_units = true;
  // A mapping of a BAR begins with its first page, whatever the offset.
  bool from_the_start = false;
  bool rom_is_read_only = true;
};

class Regions {
 public:
  static constexpr u32 kRom = 6;  // those before are BARs

  // `config` makes the config space at its first use.
  Regions(DeviceSlot& slot, const RegionRules& rules, std::function<Config&()> config)
      : slot_(slot), rules_(rules), config_(std::move(config)) {}

  bool IsConfig(u64 offset) const { return PlaceOf(offset).region == rules_.config; }
  // EINVAL: no such region, or beyond its end. EFAULT: the caller's buffer.
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset);
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset);
  // Of a processor, on a mapping. EIO: nothing is there.
  Reply Load(std::span<std::byte> to, u64 offset);
  Reply Store(std::span<const std::byte> from, u64 offset);
  // Where in the device's memory the mapping begins. EINVAL: it cannot be mapped.
  Result<u64> Mmap(CallContext& caller, const MmapRequest& request) const;

  // Of a region; 0 where there is none.
  u64 Size(u32 region) const;
  // Whether a mapping of the BAR by this client could reach it.
  bool CanMap(CallContext& caller, u32 bar) const;

  struct Place {
    u32 region;
    u64 at;
  };
  Place PlaceOf(u64 offset) const;

 private:
  bool IsMemory(u32 region) const;
  bool Decodes(u32 command) const;
  // How many bytes of an access to a BAR or the ROM can be moved.
  Result<std::size_t> CheckAccess(Place place, std::size_t count) const;
  // Moves bytes between the caller and access(at, part, whether the device answers), in units that
  // the bus can take.
  template <class Byte, class Access>
  Reply InUnits(CallContext& caller, std::span<Byte> bytes, Place place, Access access);
  template <class Byte, class Access>
  Reply OnBus(std::span<Byte> bytes, u64 offset, Access access);
  Reply ReadConfig(CallContext& caller, std::span<std::byte> to, std::size_t at);
  Reply WriteConfig(CallContext& caller, std::span<const std::byte> from, std::size_t at);

  DeviceSlot& slot_;
  RegionRules rules_;
  std::function<Config&()> config_;
};

}  // namespace vfiolab::early
