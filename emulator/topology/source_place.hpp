// Where in a text a byte is, for messages.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace vfiolab::topology {

struct SourcePlace {
  std::size_t line;    // from 1
  std::size_t column;  // from 1, in characters
  std::string ToString() const { return std::to_string(line) + ':' + std::to_string(column); }
};

// The place of the byte at `offset`; the end of the text when it is beyond.
SourcePlace PlaceOf(std::string_view text, std::size_t offset);

// The line that holds `offset`, cut to what fits a terminal, and a caret below it.
std::string Excerpt(std::string_view text, std::size_t offset);

}  // namespace vfiolab::topology
