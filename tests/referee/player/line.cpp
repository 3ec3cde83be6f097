#include "line.hpp"

#include <array>
#include <cstring>

namespace player {
namespace {

constexpr std::string_view kArrow = " -> ";
constexpr std::array<std::string_view, 4> kHeaders{"trace", "machine", "row", "recorded"};

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// Blanks inside "..." and [...] belong to the word.
std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  bool quoted = false, listed = false, inside = false;
  for (const char c : text) {
    if (c == '"') {
      quoted = !quoted;
      if (!inside) words.emplace_back();
      inside = true;
      continue;
    }
    if (!quoted && c == '[') listed = true;
    if (!quoted && c == ']') listed = false;
    if (IsBlank(c) && !quoted && !listed) {
      inside = false;
      continue;
    }
    if (!inside) words.emplace_back();
    inside = true;
    words.back() += c;
  }
  return words;
}

}  // namespace

Line ParseLine(std::string_view raw) {
  Line line;
  const std::string_view whole = Trimmed(raw);
  line.text = whole;
  if (whole.empty() || whole.front() == '#') return line;
  // The result is behind the last arrow: a text in quotes may have one, too.
  line.text = Trimmed(whole.substr(0, whole.rfind(kArrow)));
  std::vector<std::string> words = Words(line.text);
  for (const std::string_view header : kHeaders)
    if (words[0] == header) {
      line.kind = Line::Kind::kHeader;
      line.text = whole;
      return line;
    }
  line.kind = Line::Kind::kOperation;
  line.process = "main";
  std::size_t at = 0;
  if (words[0].size() > 1 && words[0].back() == ':') {
    line.process = words[0].substr(0, words[0].size() - 1);
    ++at;
  }
  if (words.size() > at + 1 && words[at + 1] == "=") {
    line.name = words[at];
    at += 2;
  }
  if (at < words.size() && words[at] == "later") {
    line.later = true;
    ++at;
  }
  if (at < words.size()) line.operation = words[at++];
  line.arguments.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
  return line;
}

std::optional<std::string_view> ValueOf(std::string_view word, std::string_view key) {
  if (word.size() <= key.size() || !word.starts_with(key) || word[key.size()] != '=')
    return std::nullopt;
  return word.substr(key.size() + 1);
}

std::optional<std::uint64_t> ParseNumber(std::string_view word) {
  if (word.empty()) return std::nullopt;
  const std::string text(word);
  char* end = nullptr;
  errno = 0;
  const bool negative = text[0] == '-';
  const std::uint64_t value = negative
                                  ? static_cast<std::uint64_t>(std::strtoll(text.c_str(), &end, 0))
                                  : std::strtoull(text.c_str(), &end, 0);
  if (*end != '\0' || end == text.c_str() || errno != 0) return std::nullopt;
  return value;
}

std::string Hex(const unsigned char* bytes, std::size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * size);
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::string ErrnoName(int code) {
  const char* name = strerrorname_np(code);
  return name != nullptr ? name : "errno " + std::to_string(code);
}

}  // namespace player
