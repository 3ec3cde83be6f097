#include "topology/json_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "topology/edit_distance.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

constexpr std::string_view kNumberForms = "a whole number like 4096, \"0x1000\" or \"4K\"";

}  // namespace

bool JsonValue::Refuse(std::string_view expected, std::string_view wanted) const {
  errors_->Add(pointer_, fmt::format("{} is not {}", Show(*value_), expected),
               fmt::format("give {}", wanted));
  return false;
}

std::optional<u64> JsonValue::Number(u64 min, u64 max) const {
  std::optional<u64> number;
  if (value_->is_number_unsigned())
    number = value_->get<u64>();
  else if (value_->is_string())
    number = ParseNumber(value_->get_ref<const std::string&>());
  if (!number && !value_->is_number_integer()) {
    Refuse("a whole number of at most 64 bits", kNumberForms);
    return std::nullopt;
  }
  if (number && min <= *number && *number <= max) return number;
  Report(fmt::format("{} is out of range", Show(*value_)),
         fmt::format("give a number from {} to {}", min, max));
  return std::nullopt;
}

std::optional<std::string> JsonValue::Text(std::string_view wanted) const {
  if (value_->is_string()) return value_->get<std::string>();
  Refuse("a string", wanted);
  return std::nullopt;
}

std::optional<bool> JsonValue::Flag() const {
  if (value_->is_boolean()) return value_->get<bool>();
  Refuse("a flag", "true or false");
  return std::nullopt;
}

JsonObject::JsonObject(JsonValue value)
    : value_(std::move(value)), is_object_(value_.value_->is_object()) {
  if (!is_object_) value_.Refuse("an object", "an object in braces");
}

JsonObject::JsonObject(JsonValue value, std::initializer_list<std::string_view> known)
    : JsonObject(std::move(value)) {
  ForEach([known](const std::string& key, const JsonValue& item) {
    if (std::find(known.begin(), known.end(), key) != known.end()) return;
    item.Report(fmt::format("unknown key {}", Quote(key)), [&] {
      const std::vector<std::string> names(known.begin(), known.end());
      return DidYouMean(key, names, OneOf(names, ""));
    });
  });
}

JsonValue JsonObject::Child(std::string_view key, const nlohmann::json& item) const {
  return {item, value_.pointer() + '/' + PointerToken(key), *value_.errors_};
}

std::optional<JsonValue> JsonObject::Find(std::string_view key) const {
  if (!is_object_) return std::nullopt;
  const auto it = value_.value_->find(key);
  if (it == value_.value_->end()) return std::nullopt;
  return Child(key, *it);
}

std::optional<JsonValue> JsonObject::Need(std::string_view key, std::string_view wanted) const {
  auto item = Find(key);
  if (!item && is_object_)
    value_.Report(fmt::format("no {}", Quote(key)), fmt::format("give {}", wanted));
  return item;
}

}  // namespace vfiolab::topology
