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

  // The BAR register that covers config space byte `at` and holds an address; nothing else.
  std::optional<unsigned> BarAt(std::uint64_t at) const;
};

class Machine {
 public:
  // Lines "NAME ADDRESS". False when the file cannot be read.
  bool Load(const std::string& path);
  const std::string& path() const { return path_; }

  // Replaces {NAME} and {NAME.group}; what has no meaning stays.
  std::string Substitute(std::string_view word) const;
  std::string GroupName(unsigned group) const;
  const Device* FindByAddress(std::string_view address) const;

  // Bytes of config space as hexadecimal digits, with {bar} and {line} for what firmware chose.
  static std::string ConfigText(const Device* device, std::uint64_t at, const unsigned char* bytes,
                                std::size_t size);

 private:
  std::string path_;
  std::map<std::string, Device, std::less<>> devices_;
};

}  // namespace player
