// Parameters of a device model, as the topology file gives them.
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"

namespace vfiolab {

// One parameter a model understands. A number in bytes may be written "64K" in the topology.
struct ParamSpec {
  std::string_view name;
  std::string_view meaning;
  u64 fallback;  // when the topology is silent
  u64 min;
  u64 max;
  bool power_of_two_or_zero = false;
};

// A parameter that names a file with bytes of config space, as `lspci -xxxx` prints them.
struct DumpSpec {
  std::string_view name;
  std::string_view meaning;
  bool required;
};

// What a replica is made of; the parameters, of whatever model, that are no numbers.
inline constexpr std::string_view kConfigDump = "config";
inline constexpr std::string_view kWritableDump = "writable";

// Values for every parameter of a model; the topology has checked them against the ParamSpecs.
class Params {
 public:
  Params() = default;
  // `dumps` are the bytes of the files that were given.
  Params(std::span<const ParamSpec> specs, const std::map<std::string, u64>& given,
         std::map<std::string, std::vector<std::byte>, std::less<>> dumps = {})
      : dumps_(std::move(dumps)) {
    for (const ParamSpec& spec : specs) {
      const auto it = given.find(std::string(spec.name));
      values_.emplace(spec.name, it == given.end() ? spec.fallback : it->second);
    }
  }
  bool Has(std::string_view name) const { return values_.contains(name); }
  // `name` must be one of the model's own parameters.
  u64 operator[](std::string_view name) const {
    const auto it = values_.find(name);
    CHECK_OURS(it != values_.end());
    return it->second;
  }
  // The bytes of the file that `name` gives; empty when the topology gives none.
  std::vector<std::byte> Dump(std::string_view name) const {
    const auto it = dumps_.find(name);
    return it == dumps_.end() ? std::vector<std::byte>() : it->second;
  }

 private:
  std::map<std::string, u64, std::less<>> values_;
  std::map<std::string, std::vector<std::byte>, std::less<>> dumps_;
};

}  // namespace vfiolab
