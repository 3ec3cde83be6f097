#include "base/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace vfiolab {

std::string ErrnoName(int code) {
  const char* name = ::strerrorname_np(code);
  return name != nullptr ? name : std::to_string(code);
}

std::string Describe(const Error& error) {
  std::string_view file = error.where.file_name();
  if (const auto slash = file.rfind('/'); slash != std::string_view::npos)
    file.remove_prefix(slash + 1);
  return fmt::format("{} ({}) [{}:{}]", ErrnoName(error.code), error.reason, file,
                     error.where.line());
}

std::string Hex(std::span<const std::byte> bytes, std::size_t limit) {
  std::string text;
  for (const std::byte b : bytes.first(std::min(limit, bytes.size())))
    text += fmt::format("{:02x}", static_cast<unsigned>(b));
  if (bytes.size() > limit) text += "..";
  return text;
}

}  // namespace vfiolab
