// One line of a trace, taken apart. The format: docs/trace.md.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace player {

struct Line {
  enum class Kind { kComment, kHeader, kOperation };
  Kind kind = Kind::kComment;
  std::string text;     // as written, without the result
  std::string process;  // who acts
  std::string name;     // what is kept; empty: nothing
  bool later = false;   // nobody waits for the operation
  std::string operation;
  std::vector<std::string> arguments;  // quotes taken off, a list is one word with its brackets
};

Line ParseLine(std::string_view raw);

// "key=value"; no value when the word is none.
std::optional<std::string_view> ValueOf(std::string_view word, std::string_view key);
std::optional<std::uint64_t> ParseNumber(std::string_view word);
std::string Hex(const unsigned char* bytes, std::size_t size);
// "EINVAL"
std::string ErrnoName(int code);

}  // namespace player
