// The devices that names in braces stand for, and what differs from machine to machine.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace player {

struct Device {
  std::string name;
  std::string address;
  std::optional<unsigned> group;
  std::array<unsigned char, 64> first_config{};  // as the machine was found

  enum class Bar { kNone, kLow, kHigh };  // kHigh: the upper half of a 64-bit BAR
  // What the 32-bit word of config space is that begins at `at`.
  Bar BarAt(std::uint64_t at) const;
};

// Which bytes of config space a client has written since it opened the device.
using Written = std::array<bool, 64>;

class Machine {
 public:
  // Lines "NAME ADDRESS". False when the file cannot be read.
  bool Load(const std::string& path);
  const std::string& path() const { return path_; }

  // Replaces {NAME} and {NAME.group}; what has no meaning stays.
  std::string Substitute(std::string_view word) const;
  std::string GroupName(unsigned group) const;
  const Device* FindByAddress(std::string_view address) const;

  // Bytes of config space as hexadecimal digits, but for what firmware chose and nobody has
  // written since.
  static std::string ConfigText(const Device* device, const Written& written, std::uint64_t at,
                                const unsigned char* bytes, std::size_t size);

 private:
  std::string path_;
  std::map<std::string, Device, std::less<>> devices_;
};

}  // namespace player
