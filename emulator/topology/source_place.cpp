#include "topology/source_place.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace vfiolab::topology {
namespace {

constexpr std::size_t kShownBefore = 50;  // characters left of the caret
constexpr std::size_t kShownAfter = 25;

bool StartsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

std::size_t LineStart(std::string_view text, std::size_t offset) {
  const std::size_t newline = text.substr(0, offset).rfind('\n');
  return newline == std::string_view::npos ? 0 : newline + 1;
}

std::size_t CountCharacters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), StartsCharacter));
}

// One printable column for each character, so that the caret stands where it should and the
// terminal obeys nothing in the file.
std::string Printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (!StartsCharacter(c)) continue;
    if (c == '\t')
      out += ' ';
    else
      out += c >= ' ' && c <= '~' ? c : '?';
  }
  return out;
}

}  // namespace

SourcePlace PlaceOf(std::string_view text, std::size_t offset) {
  offset = std::min(offset, text.size());
  const std::string_view before = text.substr(0, offset);
  const std::size_t start = LineStart(text, offset);
  return {static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1,
          CountCharacters(before.substr(start)) + 1};
}

std::string Excerpt(std::string_view text, std::size_t offset) {
  offset = std::min(offset, text.size());
  const std::size_t start = LineStart(text, offset);
  const std::size_t end = std::min(text.find('\n', offset), text.size());
  const std::size_t from = offset - start > kShownBefore ? offset - kShownBefore : start;
  const std::size_t to = std::min(end, offset + kShownAfter);

  std::string_view line = text.substr(from, to - from);
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::string left = Printable(text.substr(from, offset - from));
  if (from > start) left.insert(0, "...");
  const std::string right =
      line.size() > offset - from ? Printable(line.substr(offset - from)) : "";
  const std::string number = std::to_string(PlaceOf(text, offset).line);
  return fmt::format("  {} | {}{}{}\n  {:{}} | {:{}}^", number, left, right, to < end ? "..." : "",
                     "", number.size(), "", left.size());
}

}  // namespace vfiolab::topology
