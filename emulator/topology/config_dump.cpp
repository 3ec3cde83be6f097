#include "topology/config_dump.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>

namespace vfiolab::topology {
namespace {

constexpr std::size_t kHeaderOnly = 64, kConventional = 256, kExpress = 4096;
constexpr const char* kHowToDump = "write it with `lspci -xxxx -s ADDRESS` as root";

std::optional<unsigned> Hexadecimal(std::string_view digits) {
  unsigned value = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, value, 16);
  if (digits.empty() || error != std::errc{} || rest != end) return std::nullopt;
  return value;
}

struct DumpLine {
  unsigned offset;
  std::vector<std::byte> bytes;
};

// "10: 04 00 c0 fd ..."; nothing when the line says something else.
std::optional<DumpLine> ParseLine(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  const std::size_t colon = line.find(':');
  if (colon != 2 && colon != 3) return std::nullopt;
  const auto offset = Hexadecimal(line.substr(0, colon));
  if (!offset) return std::nullopt;
  DumpLine parsed{*offset, {}};
  for (std::size_t at = colon + 1; at < line.size(); at += 3) {
    const auto byte = Hexadecimal(line.substr(std::min(at + 1, line.size()), 2));
    if (line[at] != ' ' || at + 3 > line.size() || !byte) return std::nullopt;
    parsed.bytes.push_back(static_cast<std::byte>(*byte));
  }
  if (parsed.bytes.empty()) return std::nullopt;
  return parsed;
}

void DropCapabilities(std::vector<std::byte>& bytes) {
  bytes[PCI_STATUS] &= ~std::byte{PCI_STATUS_CAP_LIST};
  bytes[PCI_CAPABILITY_LIST] = std::byte{0};
  bytes.resize(kConventional);
}

}  // namespace

Result<std::vector<std::byte>, FileError> ParseDump(std::string_view text) {
  std::vector<std::byte> bytes;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto line = ParseLine(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line) continue;
    if (line->offset == 0 && !bytes.empty())
      return Failure{FileError{"shows more than one device", kHowToDump}};
    if (line->offset != bytes.size())
      return Failure{FileError{
          fmt::format("goes on at {:#x} after {:#x}", line->offset, bytes.size()), kHowToDump}};
    bytes.insert(bytes.end(), line->bytes.begin(), line->bytes.end());
  }
  if (bytes.size() != kHeaderOnly && bytes.size() != kConventional && bytes.size() != kExpress)
    return Failure{
        FileError{fmt::format("shows {} bytes, not 64, 256 or 4096", bytes.size()), kHowToDump}};
  if (bytes.size() == kHeaderOnly) DropCapabilities(bytes);
  return bytes;
}

}  // namespace vfiolab::topology
