// Numbers as people write them into /sys.
#pragma once
#include <optional>
#include <string_view>

#include "base/bytes.hpp"

namespace vfiolab::sysfs {

// Up to the first newline.
std::string_view FirstLine(std::string_view text);

// Decimal, hexadecimal behind 0x, octal behind 0; a newline may follow (lib/kstrtox.c kstrtoull).
std::optional<u64> ParseNumber(std::string_view text);

}  // namespace vfiolab::sysfs
