#include "topology/text.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include <nlohmann/json.hpp>

#include "base/check.hpp"

namespace vfiolab::topology {
namespace {

constexpr std::string_view kSuffixes = "KMGT";
constexpr std::size_t kLongestShown = 60;

// Escaped as in a JSON string, without the quotes.
std::string Escape(std::string_view text) {
  const bool cut = text.size() > kLongestShown;
  // The cut may go through a character; `ignore` drops the half.
  std::string escaped = nlohmann::json(text.substr(0, kLongestShown))
                            .dump(-1, ' ', true, nlohmann::json::error_handler_t::ignore);
  escaped = escaped.substr(1, escaped.size() - 2);
  return cut ? escaped + "..." : escaped;
}

}  // namespace

std::optional<u64> ParseNumber(std::string_view text) {
  int base = 10;
  unsigned shift = 0;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  } else if (!text.empty() && kSuffixes.find(text.back()) != std::string_view::npos) {
    shift = 10 * static_cast<unsigned>(kSuffixes.find(text.back()) + 1);
    text.remove_suffix(1);
  }
  u64 value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc{} || rest != end) return std::nullopt;
  if (value > std::numeric_limits<u64>::max() >> shift) return std::nullopt;
  return value << shift;
}

std::string FormatSize(u64 bytes) {
  for (std::size_t i = kSuffixes.size(); i-- > 0;) {
    const u64 unit = u64{1} << (10 * (i + 1));
    if (bytes >= unit && bytes % unit == 0) return std::to_string(bytes / unit) + kSuffixes[i];
  }
  return std::to_string(bytes);
}

std::string_view KindName(ReservedKind kind) {
  const auto* it = std::find_if(kReservedKinds.begin(), kReservedKinds.end(),
                                [kind](const auto& row) { return row.first == kind; });
  CHECK_OURS(it != kReservedKinds.end());
  return it->second;
}

std::optional<ReservedKind> ParseKind(std::string_view name) {
  const auto* it = std::find_if(kReservedKinds.begin(), kReservedKinds.end(),
                                [name](const auto& row) { return row.second == name; });
  if (it == kReservedKinds.end()) return std::nullopt;
  return it->first;
}

std::string Quote(std::string_view text) { return '"' + Escape(text) + '"'; }

std::string Show(const nlohmann::json& value) {
  if (value.is_array()) return "an array";
  if (value.is_object()) return "an object";
  if (value.is_string()) return Quote(value.get_ref<const std::string&>());
  return value.dump();
}

std::string PointerToken(std::string_view key) {
  std::string token;
  for (const char c : Escape(key)) {
    if (c == '~')
      token += "~0";
    else if (c == '/')
      token += "~1";
    else
      token += c;
  }
  return token;
}

}  // namespace vfiolab::topology
