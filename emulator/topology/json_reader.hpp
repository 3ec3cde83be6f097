// A view on parsed JSON that knows its own JSON pointer and reports what is not as it should be.
#pragma once
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/bytes.hpp"
#include "topology/config_error.hpp"

namespace vfiolab::topology {

// One value. The readers give the value, or report why there is none and give nothing; `wanted`
// completes "give ..." in the report. Views neither own the JSON nor the list of errors.
class JsonValue {
 public:
  JsonValue(const nlohmann::json& value, std::string pointer, ErrorList& errors)
      : value_(&value), pointer_(std::move(pointer)), errors_(&errors) {}

  const std::string& pointer() const { return pointer_; }
  bool IsNull() const { return value_->is_null(); }
  bool IsFlag() const { return value_->is_boolean(); }

  // A whole number, as such or as a string like "0x1000" or "4K", from `min` to `max`.
  std::optional<u64> Number(u64 min = 0, u64 max = std::numeric_limits<u64>::max()) const;
  std::optional<std::string> Text(std::string_view wanted) const;
  std::optional<bool> Flag() const;

  // Calls `read(item)` for every item; false (and a report) when this is no array.
  template <class Read>
  bool Items(std::string_view wanted, Read read) const {
    if (!value_->is_array()) return Refuse("an array", wanted);
    for (std::size_t i = 0; i < value_->size(); ++i)
      read(JsonValue((*value_)[i], pointer_ + '/' + std::to_string(i), *errors_));
    return true;
  }
  std::size_t size() const { return value_->size(); }  // items of an array

  // Reports "VALUE is not EXPECTED: give WANTED"; always false.
  bool Refuse(std::string_view expected, std::string_view wanted) const;
  // Reports something else about this value.
  template <class Remedy>
  void Report(std::string message, const Remedy& remedy) const {
    errors_->Add(pointer_, std::move(message), remedy);
  }

 private:
  friend class JsonObject;
  const nlohmann::json* value_;
  std::string pointer_;
  ErrorList* errors_;
};

// The keys of an object. Something else is reported, and then is as an object without keys of
// which none are missed.
class JsonObject {
 public:
  // Reports every key that is not one of `known`.
  JsonObject(JsonValue value, std::initializer_list<std::string_view> known);
  // Any key may be there: see ForEach().
  explicit JsonObject(JsonValue value);

  std::optional<JsonValue> Find(std::string_view key) const;
  // Reports a missing key.
  std::optional<JsonValue> Need(std::string_view key, std::string_view wanted) const;
  // Calls `read(key, value)` for every key.
  template <class Read>
  void ForEach(Read read) const {
    if (!is_object_) return;
    for (const auto& [key, item] : value_.value_->items()) read(key, Child(key, item));
  }

 private:
  JsonValue Child(std::string_view key, const nlohmann::json& item) const;

  JsonValue value_;
  bool is_object_;
};

}  // namespace vfiolab::topology
