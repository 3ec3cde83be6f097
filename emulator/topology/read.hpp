// The shape of a topology: JSON to structs.
#pragma once
#include <cstddef>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "topology/config_error.hpp"
#include "topology/draft.hpp"

namespace vfiolab::topology {

inline constexpr std::size_t kMaxDevices = 4096;  // and as many bridges
inline constexpr unsigned kMaxGroupId = 0xfffff;

// True for what may name a topology: 1 to 64 bytes without '/' and control characters.
bool IsTopologyName(std::string_view name);

// Reads all that can be read. Reports unknown and missing keys, values of the wrong type, numbers
// out of the range of their field, addresses and kinds that are none, and too many of a thing.
// When there are no errors the draft is complete.
Draft Read(const nlohmann::json& root, ErrorList& errors);

}  // namespace vfiolab::topology
