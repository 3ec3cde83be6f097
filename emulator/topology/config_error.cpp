#include "topology/config_error.hpp"

#include <fmt/format.h>

#include <utility>

namespace vfiolab::topology {

std::string ConfigError::ToString() const {
  std::string text = file;
  // file:line:column without a space is what editors and terminals turn into a link.
  if (!place.empty()) text += (place.front() == '/' ? ": " : ":") + place;
  text += ": " + message;
  if (!remedy.empty()) text += ": " + remedy;
  if (!excerpt.empty()) text += '\n' + excerpt;
  return text;
}

std::string ToString(const std::vector<ConfigError>& errors) {
  std::string text;
  for (const ConfigError& error : errors) text += (text.empty() ? "" : "\n") + error.ToString();
  return text;
}

void ErrorList::Add(std::string place, std::string message, std::string remedy) {
  if (errors_.size() < kMostShown)
    errors_.push_back({file_, std::move(place), std::move(message), std::move(remedy), {}});
  else
    ++dropped_;
}

void ErrorList::ReplaceAllBy(std::string place, std::string message, std::string remedy,
                             std::string excerpt) {
  errors_.assign(
      1, {file_, std::move(place), std::move(message), std::move(remedy), std::move(excerpt)});
  dropped_ = 0;
}

std::vector<ConfigError> ErrorList::Take() {
  if (dropped_ > 0)
    errors_.push_back(
        {file_, "", fmt::format("and {} more", dropped_), "mend the ones above first", {}});
  dropped_ = 0;
  return std::exchange(errors_, {});
}

}  // namespace vfiolab::topology
