// Files with the config space of a device, as `lspci -xxxx` prints it.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "device/model.hpp"
#include "topology/config_error.hpp"
#include "topology/draft.hpp"

namespace vfiolab::topology {

// What is wrong with a dump, and what to do.
struct DumpError {
  std::string message;
  std::string remedy;
};

// The bytes of the lines like "10: 04 00 c0 fd ..."; other lines count for nothing. 64, 256 or 4096
// bytes without a hole; 64 are made 256, without the capabilities that nobody saw.
Result<std::vector<std::byte>, DumpError> ParseDump(std::string_view text);

// Reads the files that devices name, for models that want them, from `directory`.
void ReadDumps(Draft& draft, std::span<const Model> models, const std::string& directory,
               ErrorList& errors);

}  // namespace vfiolab::topology
