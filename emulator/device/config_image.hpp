// The config space of a real device, as somebody dumped it.
#pragma once
#include <array>
#include <optional>
#include <vector>

#include "device/bar.hpp"

namespace vfiolab {

class ConfigImage {
 public:
  ConfigImage() = default;
  // 256 or 4096 bytes. `writable` has a 1 for each bit that software can write, or is empty: not
  // known.
  explicit ConfigImage(std::vector<std::byte> bytes, std::vector<std::byte> writable = {})
      : bytes_(std::move(bytes)), writable_(std::move(writable)) {}

  bool empty() const { return bytes_.empty(); }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  const std::vector<std::byte>& writable() const { return writable_; }
  u32 Get(std::size_t at, unsigned width) const;
  // Where capability `id` is; 0 when there is none.
  u8 FindCapability(u8 id) const;
  bool is_type_0() const;  // a function, not a bridge

  // A BAR register that is not zero. What its size is, no dump tells.
  struct Bar {
    u64 address;
    BarSpace space;
    bool prefetchable;
  };
  std::optional<Bar> BarAt(unsigned index) const;
  bool IsUpperHalf(unsigned index) const;  // of the 64-bit BAR before

  // What the MSI-X capability says; nothing when there is none.
  struct Msix {
    unsigned vectors;
    unsigned table_bar;
    u32 table_offset;
    unsigned pba_bar;
    u32 pba_offset;
    u64 TableEnd() const { return table_offset + u64{vectors} * 16; }
    u64 PbaEnd() const { return pba_offset + u64{(vectors + 63) / 64} * 8; }
  };
  std::optional<Msix> FindMsix() const;
  unsigned MsiVectors() const;

 private:
  std::vector<std::byte> bytes_;
  std::vector<std::byte> writable_;
};

}  // namespace vfiolab
