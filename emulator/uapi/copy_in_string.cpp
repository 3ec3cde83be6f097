#include "uapi/copy_in_string.hpp"

#include <algorithm>

namespace vfiolab::uapi {

Result<std::string> CopyInString(const IoctlCall& call) {
  constexpr std::size_t kLongest = 4096;
  std::string text;
  u64 at = call.argument;
  while (text.size() < kLongest) {
    // In small steps: what lies behind the string is none of ours.
    std::array<char, 16> chunk;
    const std::size_t length =
        std::min<std::size_t>(chunk.size() - at % chunk.size(), kLongest - text.size());
    TRY(call.caller.memory().Read(ClientAddress{at},
                                  std::as_writable_bytes(std::span{chunk}.first(length))));
    const std::string_view part(chunk.data(), length);
    if (const auto end = part.find('\0'); end != part.npos) return text.append(part.substr(0, end));
    text += part;
    at += length;
  }
  return Fail(EINVAL, "the name does not end within 4096 bytes");
}

}  // namespace vfiolab::uapi
