#include "pci/config_space.hpp"

#include <linux/pci_regs.h>

#include "base/check.hpp"

namespace vfiolab {

void ConfigSpace::Read(std::size_t at, std::span<std::byte> to) const {
  CHECK_OURS(at + to.size() <= size());
  std::memcpy(to.data(), bytes_.data() + at, to.size());
}

void ConfigSpace::Write(std::size_t at, std::span<const std::byte> from) {
  CHECK_OURS(at + from.size() <= size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::byte& stored = bytes_[at + i];
    const std::byte mask = writable_[at + i];
    stored = (stored & ~mask) | (from[i] & mask);
  }
}

u32 ConfigSpace::Get(std::size_t at, unsigned width) const {
  return static_cast<u32>(LoadLittleEndian(std::span{bytes_}.subspan(at, width)));
}

void ConfigSpace::Set(std::size_t at, unsigned width, u32 value) {
  StoreLittleEndian(std::span{bytes_}.subspan(at, width), value);
}

void ConfigSpace::SetBits(std::size_t at, unsigned width, u32 mask, bool on) {
  Set(at, width, on ? Get(at, width) | mask : Get(at, width) & ~mask);
}

void ConfigSpace::MakeWritable(std::size_t at, unsigned width, u32 mask) {
  StoreLittleEndian(std::span{writable_}.subspan(at, width), mask);
}

u8 ConfigSpace::AddCapability(u8 id, std::size_t length, u8 at) {
  const u8 where = at != 0 ? at : static_cast<u8>(free_from_);
  CHECK_OURS(where % 4 == 0 && where + length <= kConventionalConfigSize);
  for (std::size_t i = where; i < where + length; ++i) writable_[i] = std::byte{0};
  Set(where, 1, id);
  Set(last_capability_ == 0 ? PCI_CAPABILITY_LIST : last_capability_ + 1u, 1, where);
  SetBits(PCI_STATUS, 2, PCI_STATUS_CAP_LIST, true);
  last_capability_ = where;
  free_from_ = (where + length + 3) & ~std::size_t{3};
  return where;
}

u16 ConfigSpace::AddExtendedCapability(u16 id, u8 version, std::size_t length) {
  const auto where = static_cast<u16>(extended_free_from_);
  CHECK_OURS(where + length <= size());
  Set(where, 4, id | u32{version} << 16);
  if (last_extended_ != 0)
    Set(last_extended_, 4, (Get(last_extended_, 4) & 0xfffff) | u32{where} << 20);
  last_extended_ = where;
  extended_free_from_ = (where + length + 3) & ~std::size_t{3};
  return where;
}

u8 ConfigSpace::FindCapability(u8 id) const {
  if (!(Get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST)) return 0;
  u8 at = static_cast<u8>(Get(PCI_CAPABILITY_LIST, 1) & 0xfc);  // the low bits are reserved
  // 48 is the most that fit: a list that loops ends here.
  for (int hops = 0; at >= 0x40 && hops < 48; ++hops) {
    if (Get(at, 1) == id) return at;
    at = static_cast<u8>(Get(at + 1u, 1) & 0xfc);
  }
  return 0;
}

u16 ConfigSpace::FindExtendedCapability(u16 id) const {
  std::size_t at = kConventionalConfigSize;
  for (std::size_t hops = 0; hops < kExpressConfigSize / 8 && at + 4 <= size(); ++hops) {
    const u32 header = Get(at, 4);
    if (header != 0 && PCI_EXT_CAP_ID(header) == id) return static_cast<u16>(at);
    at = PCI_EXT_CAP_NEXT(header);
    if (at < kConventionalConfigSize) return 0;
  }
  return 0;
}

}  // namespace vfiolab
