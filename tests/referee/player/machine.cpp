#include "machine.hpp"

#include <unistd.h>

#include <climits>
#include <cstring>
#include <fstream>

#include "line.hpp"

namespace player {
namespace {

constexpr std::uint64_t kFirstBar = 0x10, kBeyondBars = 0x28, kInterruptLine = 0x3c;

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

std::optional<unsigned> Device::BarAt(std::uint64_t at) const {
  if (at < kFirstBar || at >= kBeyondBars) return std::nullopt;
  const auto bar = static_cast<unsigned>(at & ~std::uint64_t{3});
  constexpr std::array<unsigned char, 4> kNothing{};
  if (std::memcmp(first_config.data() + bar, kNothing.data(), 4) == 0) return std::nullopt;
  return bar;
}

bool Machine::Load(const std::string& path) {
  path_ = path;
  std::ifstream file(path);
  std::string name, address;
  while (file >> name >> address) {
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

std::string Machine::ConfigText(const Device* device, std::uint64_t at, const unsigned char* bytes,
                                std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size;) {
    const std::uint64_t here = at + i;
    const auto is_first = [&](std::size_t count) {
      return std::memcmp(bytes + i, device->first_config.data() + here, count) == 0;
    };
    const auto bar = device == nullptr ? std::nullopt : device->BarAt(here);
    if (bar && *bar == here && size - i >= 4 && is_first(4)) {
      text += "{bar}";
      i += 4;
    } else if (bar && (*bar != here || size - i < 4) && is_first(1)) {
      text += "..";
      i += 1;
    } else if (device != nullptr && here == kInterruptLine && is_first(1)) {
      text += "{line}";
      i += 1;
    } else {
      text += Hex(bytes + i, 1);
      i += 1;
    }
  }
  return text;
}

}  // namespace player
