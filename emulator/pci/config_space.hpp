// The configuration space of one function as hardware keeps it.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace vfiolab {

inline constexpr std::size_t kConventionalConfigSize = 256;
inline constexpr std::size_t kExpressConfigSize = 4096;

class ConfigSpace {
 public:
  // `size` is kConventionalConfigSize or kExpressConfigSize; all bytes zero and read-only.
  explicit ConfigSpace(std::size_t size) : bytes_(size), writable_(size) {}

  // These bytes, all read-only. Not to be added to: AddCapability() is for one that began empty.
  explicit ConfigSpace(std::vector<std::byte> bytes)
      : bytes_(std::move(bytes)), writable_(bytes_.size()) {}

  std::size_t size() const { return bytes_.size(); }

  // Ranges must lie inside. Write() stores writable bits only.
  void Read(std::size_t at, std::span<std::byte> to) const;
  void Write(std::size_t at, std::span<const std::byte> from);

  // The value of `width` bytes, and the same as the hardware itself sets it.
  u32 Get(std::size_t at, unsigned width) const;
  void Set(std::size_t at, unsigned width, u32 value);
  void SetBits(std::size_t at, unsigned width, u32 mask, bool on);
  void MakeWritable(std::size_t at, unsigned width, u32 mask);

  // Appends a capability of `length` bytes (header included), all read-only, to the list and
  // returns where it is.
  // `at` 0 places it after the last one.
  u8 AddCapability(u8 id, std::size_t length, u8 at = 0);
  // The same for the extended list, behind kConventionalConfigSize.
  u16 AddExtendedCapability(u16 id, u8 version, std::size_t length);
  // Where capability `id` is; 0 when there is none.
  u8 FindCapability(u8 id) const;
  // Where extended capability `id` is; 0 when there is none.
  u16 FindExtendedCapability(u16 id) const;

  // Copies `width` bytes from another config space, whatever may be written.
  void CopyFrom(const ConfigSpace& other, std::size_t at, std::size_t width) {
    std::copy_n(other.bytes_.begin() + static_cast<long>(at), width,
                bytes_.begin() + static_cast<long>(at));
  }

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
  std::vector<std::byte> writable_;
  u8 last_capability_ = 0;
  std::size_t free_from_ = 0x40;
  u16 last_extended_ = 0;
  std::size_t extended_free_from_ = kConventionalConfigSize;
};

}  // namespace vfiolab
