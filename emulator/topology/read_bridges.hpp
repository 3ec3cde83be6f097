// The shape of bridges, and of what is read in several places: addresses, names, numbers.
#pragma once
#include <optional>
#include <string_view>

#include "topology/draft.hpp"
#include "topology/json_reader.hpp"

namespace vfiolab::topology {

inline constexpr std::string_view kAddress = "a PCI address like \"0000:01:00.0\"";
inline constexpr std::size_t kLongestName = 64;

// What becomes the name of a directory in sysfs, or of a bridge: letters, digits and `others`.
bool IsSysfsName(std::string_view name, std::string_view others);

// "0000:01:00.0", or "NAME/00.0": that device and function on the bus behind the bridge NAME.
// Nothing: it is neither, or nobody knows that bus.
std::optional<Bdf> ParseAddress(std::string_view text, const Draft& draft);
// The same of a value; reports what is none. A bridge with a wrong address has been reported.
std::optional<Bdf> ReadBdf(const std::optional<JsonValue>& value, const Draft& draft);

// true: the usual; false: it has no such capability; or a list of names (kAcsNames).
std::optional<AcsBits> ReadAcs(const JsonValue& value);

// An address behind another bridge is not complete: AssignBuses() does that.
BridgeDraft ReadBridge(const JsonValue& value, Draft& draft);

template <class T>
std::optional<T> ReadNumber(const std::optional<JsonValue>& value, T min, T max) {
  const auto number = value ? value->Number(min, max) : std::nullopt;
  if (!number) return std::nullopt;
  return static_cast<T>(*number);
}

template <class T>
void Assign(T& target, const std::optional<T>& value) {
  if (value) target = *value;
}

}  // namespace vfiolab::topology
