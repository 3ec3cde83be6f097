// Where a PCI function sits: segment:bus:device.function.
#pragma once
#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace vfiolab {

struct Bdf {
  u16 segment = 0;
  u8 bus = 0;
  u8 device = 0;    // 0..31
  u8 function = 0;  // 0..7

  // Reads "0000:01:00.0" or "01:00.0" (segment 0), hexadecimal as lspci prints it.
  static std::optional<Bdf> Parse(std::string_view text);
  // "0000:01:00.0", as the kernel names the device.
  std::string ToString() const;
  u16 RequesterId() const { return static_cast<u16>(bus << 8 | device << 3 | function); }
  u8 Devfn() const { return static_cast<u8>(device << 3 | function); }

  auto operator<=>(const Bdf&) const = default;
};

}  // namespace vfiolab
