#include "pci/bdf.hpp"

#include <fmt/format.h>

#include <charconv>

namespace vfiolab {
namespace {

// Takes a hexadecimal number of up to `digits` digits that ends at `stop` off the front of `text`.
std::optional<unsigned> Take(std::string_view& text, std::size_t digits, char stop) {
  const std::size_t end = stop == '\0' ? text.size() : text.find(stop);
  if (end == std::string_view::npos || end == 0 || end > digits) return std::nullopt;
  unsigned value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + end, value, 16);
  if (error != std::errc{} || rest != text.data() + end) return std::nullopt;
  text.remove_prefix(stop == '\0' ? end : end + 1);
  return value;
}

}  // namespace

std::optional<Bdf> Bdf::Parse(std::string_view text) {
  Bdf bdf;
  const bool has_segment = text.find(':') != text.rfind(':');
  const auto segment = has_segment ? Take(text, 4, ':') : 0u;
  const auto bus = Take(text, 2, ':');
  const auto device = Take(text, 2, '.');
  const auto function = Take(text, 1, '\0');
  if (!segment || !bus || !device || !function || *device > 31 || *function > 7)
    return std::nullopt;
  bdf.segment = static_cast<u16>(*segment);
  bdf.bus = static_cast<u8>(*bus);
  bdf.device = static_cast<u8>(*device);
  bdf.function = static_cast<u8>(*function);
  return bdf;
}

std::string Bdf::ToString() const {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", segment, bus, device, function);
}

}  // namespace vfiolab
