#include "machine.hpp"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <fstream>
#include <sstream>

#include "line.hpp"

namespace player {
namespace {

constexpr std::uint64_t kFirstBar = 0x10, kBeyondBars = 0x28, kRomBar = 0x30, kInterruptLine = 0x3c;
constexpr unsigned char kWide = 4;

std::optional<unsigned> GroupOf(const std::string& address) {
  char target[PATH_MAX];
  const std::string link = "/sys/bus/pci/devices/" + address + "/iommu_group";
  const ssize_t length = readlink(link.c_str(), target, sizeof target);
  if (length <= 0) return std::nullopt;
  const std::string_view text(target, static_cast<std::size_t>(length));
  const auto number = ParseNumber(text.substr(text.rfind('/') + 1));
  if (!number) return std::nullopt;
  return static_cast<unsigned>(*number);
}

}  // namespace

Device::Bar Device::BarAt(std::uint64_t at) const {
  const bool rom = at == kRomBar;
  if (!rom && (at < kFirstBar || at >= kBeyondBars || at % 4 != 0)) return Bar::kNone;
  constexpr std::array<unsigned char, 4> kNothing{};
  if (at > kFirstBar && !rom && BarAt(at - 4) == Bar::kLow && (first_config[at - 4] & 7) == kWide)
    return Bar::kHigh;
  const bool absent = std::memcmp(first_config.data() + at, kNothing.data(), 4) == 0;
  return absent ? Bar::kNone : Bar::kLow;
}

bool Machine::Load(const std::string& path) {
  path_ = path;
  std::ifstream file(path);
  std::string line, name, address;
  while (std::getline(file, line)) {
    if (!(std::istringstream(line) >> name >> address)) continue;
    Device device{name, address, GroupOf(address), {}};
    std::ifstream config("/sys/bus/pci/devices/" + address + "/config", std::ios::binary);
    config.read(reinterpret_cast<char*>(device.first_config.data()),
                static_cast<std::streamsize>(device.first_config.size()));
    devices_.emplace(name, std::move(device));
  }
  return !devices_.empty();
}

std::string Machine::Substitute(std::string_view word) const {
  std::string text;
  while (true) {
    const std::size_t open = word.find('{');
    const std::size_t close = open == word.npos ? word.npos : word.find('}', open);
    if (close == word.npos) return text.append(word);
    text.append(word.substr(0, open));
    std::string_view name = word.substr(open + 1, close - open - 1);
    const bool group = name.ends_with(".group");
    if (group) name.remove_suffix(6);
    const auto device = devices_.find(name);
    if (device == devices_.end() || (group && !device->second.group))
      text.append(word.substr(open, close + 1 - open));
    else
      text += group ? std::to_string(*device->second.group) : device->second.address;
    word.remove_prefix(close + 1);
  }
}

std::string Machine::GroupName(unsigned group) const {
  for (const auto& [name, device] : devices_)
    if (device.group == group) return "{" + name + ".group}";
  return "{other}";
}

const Device* Machine::FindByAddress(std::string_view address) const {
  for (const auto& [name, device] : devices_)
    if (address.starts_with(device.address)) return &device;
  return nullptr;
}

std::string Machine::ConfigText(const Device* device, const Written& written, std::uint64_t at,
                                const unsigned char* bytes, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size;) {
    const std::uint64_t here = at + i, word = here & ~std::uint64_t{3};
    const auto unwritten = [&](std::size_t count) {
      return std::none_of(written.begin() + here, written.begin() + here + count,
                          [](bool b) { return b; });
    };
    const Device::Bar bar = device == nullptr ? Device::Bar::kNone : device->BarAt(word);
    const std::string type = Hex(bytes + i, 1).substr(1);
    if (bar != Device::Bar::kNone && here == word && size - i >= 4 && unwritten(4)) {
      text += bar == Device::Bar::kLow ? "{bar:" + type + "}" : "{bar}";
      i += 4;
      continue;
    }
    if (bar != Device::Bar::kNone && unwritten(1))
      text += "." + (bar == Device::Bar::kLow && here == word ? type : ".");
    else if (device != nullptr && here == kInterruptLine && unwritten(1))
      text += "{line}";
    else
      text += Hex(bytes + i, 1);
    ++i;
  }
  return text;
}

}  // namespace player
