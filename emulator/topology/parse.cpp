#include "topology/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "topology/source_place.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

using nlohmann::json;

constexpr std::string_view kWhitespace = " \t\r\n";

struct SyntaxError {
  std::size_t offset;     // of the last byte read
  std::string token;      // what nlohmann takes for the last token
  std::string exception;  // nlohmann's own text
};

// Builds the tree itself, where nlohmann would silently keep the last of two equal keys. The
// function names and parameters are those its parser calls.
class TreeBuilder {
 public:
  explicit TreeBuilder(ErrorList& errors) : errors_(errors) {}

  bool null() { return Put(nullptr) != nullptr; }
  bool boolean(bool value) { return Put(value) != nullptr; }
  bool number_integer(json::number_integer_t value) { return Put(value) != nullptr; }
  bool number_unsigned(json::number_unsigned_t value) { return Put(value) != nullptr; }
  bool number_float(json::number_float_t value, const std::string&) {
    return Put(value) != nullptr;
  }
  bool string(std::string& value) { return Put(std::move(value)) != nullptr; }
  static bool binary(json::binary_t&) { return false; }  // never in text
  bool start_object(std::size_t) { return Open(json::object()); }
  bool start_array(std::size_t) { return Open(json::array()); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }

  bool key(std::string& name) {
    Level& level = open_.back();
    const auto [entry, is_new] = level.container->emplace(name, nullptr);
    level.key = &entry.key();
    level.slot = &*entry;
    if (!is_new)
      errors_.Add(Pointer(), fmt::format("the key {} appears twice here", Quote(name)),
                  "keep one of the two");
    return true;
  }

  bool parse_error(std::size_t bytes_read, const std::string& token, const json::exception& error) {
    syntax_error = SyntaxError{bytes_read == 0 ? 0 : bytes_read - 1, token, error.what()};
    return false;
  }

  json root;
  std::optional<SyntaxError> syntax_error;

 private:
  struct Level {
    json* container;
    // In an object, the last key and where its value goes.
    const std::string* key;
    json* slot;
  };

  // The value where it now lives, or null when there are too many.
  json* Put(json value) {
    if (++values_ > kMaxValues) return nullptr;
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    Level& level = open_.back();
    if (level.container->is_array()) return &level.container->emplace_back(std::move(value));
    *level.slot = std::move(value);
    return level.slot;
  }

  bool Open(json empty) {
    json* container = Put(std::move(empty));
    if (container == nullptr) return false;
    open_.push_back({container, nullptr, nullptr});
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  std::string Pointer() const {
    std::string pointer;
    for (const Level& level : open_)
      pointer += '/' + (level.container->is_array() ? std::to_string(level.container->size() - 1)
                                                    : PointerToken(*level.key));
    return pointer;
  }

  ErrorList& errors_;
  std::vector<Level> open_;
  std::size_t values_ = 0;
};

// Where the nesting first gets deeper than allowed. Brackets inside of strings do not count.
std::optional<std::size_t> FindTooDeep(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '[' || c == '{')) {
      if (++depth > kMaxNesting) return i;
    } else if (!in_string && (c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return std::nullopt;
}

// What nlohmann says after its own prefixes ("[json.exception.parse_error.101] parse error at line
// 3, column 4: syntax error while parsing object - "), without the token, which may hold anything.
std::string Reason(const SyntaxError& error) {
  std::string reason = error.exception;
  const auto drop_through = [&](std::string_view mark) {
    const std::size_t at = reason.find(mark);
    if (at != std::string::npos) reason.erase(0, at + mark.size());
  };
  drop_through("] ");
  drop_through("syntax error ");
  drop_through("- ");
  const std::string token = "; last read: '" + error.token + "'";
  if (const std::size_t at = reason.find(token); at != std::string::npos)
    reason.erase(at, token.size());
  constexpr std::size_t kLongest = 160;
  return reason.substr(0, kLongest);
}

// What to do about a reason that has these words; the first row that fits counts.
struct ReasonRemedy {
  std::string_view words;
  std::string_view remedy;
};
constexpr std::array kReasonRemedies = {
    ReasonRemedy{"ill-formed UTF-8", "save the file as UTF-8"},
    ReasonRemedy{"control character", "is a closing quote missing before it?"},
    ReasonRemedy{"missing closing quote", "close the string"},
    ReasonRemedy{"invalid string", "correct the string; a backslash is written \\\\"},
    ReasonRemedy{"unexpected end of input", "close what is still open"},
    ReasonRemedy{"expected end of input", "remove what follows the end of the object"},
    ReasonRemedy{"; expected '}'", "is a comma missing before it?"},
    ReasonRemedy{"; expected ']'", "is a comma missing before it?"},
    ReasonRemedy{"; expected ':'", "put a colon between key and value"},
    ReasonRemedy{"number overflow", "give a smaller number"},
    ReasonRemedy{"invalid number", "write numbers like 4096, or as a string like \"0x1000\""},
    ReasonRemedy{"; expected string literal", "keys are strings in double quotes"},
};

std::string_view Remedy(std::string_view text, std::size_t offset, std::string_view reason) {
  const char at = offset < text.size() ? text[offset] : '\0';
  const std::size_t previous = text.substr(0, offset).find_last_not_of(kWhitespace);
  const char before = previous == std::string_view::npos ? '\0' : text[previous];
  if (before == ',' && (at == '}' || at == ']')) return "remove the comma before it";
  if (reason.starts_with("invalid literal")) {
    if (at == '/' || at == '#') return "JSON has no comments: remove it";
    if (at == '\'') return "JSON strings are in double quotes";
    if (before == '0' && (at == 'x' || at == 'X'))
      return "write hexadecimal numbers as strings, like \"0x1000\"";
    return "write text in double quotes; the only bare words are true, false and null";
  }
  for (const auto& [words, remedy] : kReasonRemedies)
    if (reason.find(words) != std::string_view::npos) return remedy;
  return "JSON knows \"strings\", numbers, true, false, null, [arrays] and {objects}";
}

// How many of the last bytes read make up the token; 1 unless it is complete. nlohmann counts from
// the last string or number, so that its own text is only that of the token for these two.
std::size_t TokenSize(const SyntaxError& error, std::string_view reason) {
  constexpr std::string_view kComplete = "unexpected ";
  if (!reason.starts_with(kComplete)) return 1;
  reason.remove_prefix(kComplete.size());
  if (reason.starts_with("string") || reason.starts_with("number"))
    return std::max<std::size_t>(error.token.size(), 1);
  if (reason.starts_with("true") || reason.starts_with("null")) return 4;
  return reason.starts_with("false") ? 5 : 1;
}

void ReportSyntaxError(std::string_view text, const SyntaxError& error, ErrorList& errors) {
  if (text.find_first_not_of(kWhitespace) == std::string_view::npos) {
    errors.ReplaceAllBy("", "the file is empty", "give at least {\"devices\": [], \"groups\": []}");
    return;
  }
  const std::string reason = Reason(error);
  // A complete token in the wrong place is pointed at where it starts, and the end where text ends.
  std::size_t offset = error.offset - std::min(error.offset, TokenSize(error, reason) - 1);
  if (offset >= text.size()) offset = text.find_last_not_of(kWhitespace) + 1;
  errors.ReplaceAllBy(PlaceOf(text, offset).ToString(), reason,
                      std::string(Remedy(text, offset, reason)), Excerpt(text, offset));
}

bool RefuseHostile(std::string_view text, ErrorList& errors) {
  if (text.size() > kMaxFileSize) {
    errors.ReplaceAllBy("", fmt::format("the file has more than {} bytes", kMaxFileSize),
                        "split it into several topologies");
    return true;
  }
  // nlohmann takes a NUL for the end of the file and would not look at what follows.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    errors.ReplaceAllBy(PlaceOf(text, nul).ToString(), "a NUL byte", "give the file as UTF-8 text",
                        Excerpt(text, nul));
    return true;
  }
  if (const auto deep = FindTooDeep(text)) {
    errors.ReplaceAllBy(PlaceOf(text, *deep).ToString(),
                        fmt::format("nested more than {} deep", kMaxNesting),
                        "a topology nests 4 deep; remove the brackets", Excerpt(text, *deep));
    return true;
  }
  return false;
}

}  // namespace

std::optional<json> Parse(std::string_view text, ErrorList& errors) {
  if (RefuseHostile(text, errors)) return std::nullopt;
  TreeBuilder builder(errors);
  const bool complete = json::sax_parse(text.begin(), text.end(), &builder);
  if (complete) return std::move(builder.root);
  if (builder.syntax_error)
    ReportSyntaxError(text, *builder.syntax_error, errors);
  else
    errors.ReplaceAllBy("", fmt::format("the file has more than {} values", kMaxValues),
                        "split it into several topologies");
  return std::nullopt;
}

}  // namespace vfiolab::topology
