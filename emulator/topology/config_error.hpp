// What is wrong with a topology file, said so that a person can mend it.
#pragma once
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vfiolab::topology {

struct ConfigError {
  std::string file;
  std::string place;    // "3:12" (line:column), "/devices/0/model" (JSON pointer), "" (whole file)
  std::string message;  // what is wrong, with the value
  std::string remedy;   // what to do about it
  // The line of the file and a caret under the place; syntax errors only.
  std::string excerpt = {};

  // `edu.json: /devices/0/model: no model named "edo": did you mean "edu"?`, or
  // `edu.json:3:12: ...` and the excerpt on two more lines. No newline at the end.
  std::string ToString() const;

  bool operator==(const ConfigError&) const = default;
};

// One error after the other, without a newline at the end.
std::string ToString(const std::vector<ConfigError>& errors);

// Collects the errors of one file: keeps the first ones and counts the rest, so that a file with
// a million errors costs neither a million messages nor a million searches for remedies.
class ErrorList {
 public:
  static constexpr std::size_t kMostShown = 100;

  explicit ErrorList(std::string_view file) : file_(file) {}

  void Add(std::string place, std::string message, std::string remedy);
  // For a remedy that takes work to find: only asked for when the error will be shown.
  template <std::invocable Remedy>
  void Add(std::string place, std::string message, const Remedy& find_remedy) {
    const bool shown = errors_.size() < kMostShown;
    Add(std::move(place), std::move(message), shown ? std::string(find_remedy()) : std::string());
  }
  // An error that makes all others meaningless, as the file could not be read to its end.
  void ReplaceAllBy(std::string place, std::string message, std::string remedy,
                    std::string excerpt = {});

  bool empty() const { return errors_.empty(); }
  // The errors kept, and one more that tells how many were not.
  std::vector<ConfigError> Take();

 private:
  std::string file_;
  std::vector<ConfigError> errors_;
  std::size_t dropped_ = 0;
};

}  // namespace vfiolab::topology
