// How a client names a PCI device to its group (vfio_pci_core.c vfio_pci_core_match).
#include <cctype>

#include "vfio/device.hpp"

namespace vfiolab::vfio {

namespace {

constexpr std::string_view kTokenKey = "vf_token=";
constexpr std::size_t kUuidLength = 36;

bool IsUuid(std::string_view text) {
  for (std::size_t i = 0; i < kUuidLength; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0)
      return false;
  }
  return true;
}

Uuid ParseUuid(std::string_view text) {
  Uuid uuid{};
  std::size_t digits = 0;
  for (const char c : text) {
    if (c == '-') continue;
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    std::byte& byte = uuid[digits++ / 2];
    byte = byte << 4 | static_cast<std::byte>(digit);
  }
  return uuid;
}

// What follows the BDF in a device name: spaces and at most one vf_token=UUID, which comes back.
Result<std::optional<Uuid>> ReadOptions(std::string_view options) {
  std::optional<Uuid> token;
  while (!options.empty()) {
    if (options.front() == ' ') {
      options.remove_prefix(1);
      continue;
    }
    if (!options.starts_with(kTokenKey) || options.size() < kTokenKey.size() + kUuidLength ||
        !IsUuid(options.substr(kTokenKey.size(), kUuidLength)) || token)
      return Fail(EINVAL, fmt::format("'{}' is no vf_token=UUID", options));
    options.remove_prefix(kTokenKey.size());
    token = ParseUuid(options.substr(0, kUuidLength));
    options.remove_prefix(kUuidLength);
  }
  return token;
}

}  // namespace

Result<bool> Device::IsCalled(const std::string& name) {
  const std::string bdf = slot_.bdf().ToString();
  if (!name.starts_with(bdf)) return false;
  if (name.size() > bdf.size() && name[bdf.size()] != ' ') return false;
  const auto token = TRY(ReadOptions(std::string_view(name).substr(bdf.size())));
  TRY(CheckToken(token));
  return true;
}

}  // namespace vfiolab::vfio
