// Text with the config space of a device, as `lspci -xxxx` prints it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace vfiolab::topology {

// What is wrong with a file that a topology names, and what to do.
struct FileError {
  std::string message;
  std::string remedy;
};

// The bytes of the lines like "10: 04 00 c0 fd ..."; other lines count for nothing. 64, 256 or 4096
// bytes without a hole; 64 are made 256, without the capabilities that nobody saw.
Result<std::vector<std::byte>, FileError> ParseDump(std::string_view text);

}  // namespace vfiolab::topology
