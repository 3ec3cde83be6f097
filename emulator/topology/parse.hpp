// Text to JSON, refusing what would exhaust the machine or could be read in two ways.
#pragma once
#include <cstddef>
#include <optional>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "topology/config_error.hpp"

namespace vfiolab::topology {

inline constexpr std::size_t kMaxFileSize = std::size_t{16} << 20;
inline constexpr std::size_t kMaxNesting = 64;
inline constexpr std::size_t kMaxValues = 250'000;  // twice what the largest topology needs

// Nothing, and one error that replaces all others, when `text` is larger than kMaxFileSize, nests
// deeper than kMaxNesting, has more than kMaxValues values or is not JSON. A key that appears twice
// in an object is an error too, but the rest is still returned for a look.
std::optional<nlohmann::json> Parse(std::string_view text, ErrorList& errors);

}  // namespace vfiolab::topology
