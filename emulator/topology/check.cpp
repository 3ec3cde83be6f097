#include "topology/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "topology/edit_distance.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

void CheckPageSizes(const std::vector<std::optional<u64>>& sizes, ErrorList& errors) {
  const std::string list = "/iommu/page_sizes";
  std::map<u64, std::size_t> seen;
  bool all_read = true;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    all_read &= sizes[i].has_value();
    if (!sizes[i]) continue;
    const u64 size = *sizes[i];
    const std::string place = fmt::format("{}/{}", list, i);
    if (!std::has_single_bit(size) || size < kPageSize)
      errors.Add(place, fmt::format("{} is not a page size", FormatSize(size)),
                 "give a power of two from 4K on");
    else if (const auto [first, is_new] = seen.emplace(size, i); !is_new)
      errors.Add(place,
                 fmt::format("{} is already at {}/{}", FormatSize(size), list, first->second),
                 "name each size once");
  }
  // The client maps its memory in pages of this size.
  if (all_read && !seen.contains(kPageSize)) errors.Add(list, "4K is missing", "add \"4K\"");
}

void CheckReserved(const std::vector<ReservedDraft>& ranges, ErrorList& errors) {
  struct Placed {
    IovaRange range;
    std::size_t index;
  };
  std::vector<Placed> placed;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (!ranges[i].first || !ranges[i].last) continue;
    const IovaRange range{*ranges[i].first, *ranges[i].last};
    const std::string place = fmt::format("/iommu/reserved/{}", i);
    if (range.first > range.last)
      errors.Add(place, fmt::format("{:#x} is above {:#x}", range.first, range.last),
                 "give the lower address as \"first\"");
    else if (range.first % kPageSize != 0 || range.last % kPageSize != kPageSize - 1)
      errors.Add(
          place,
          fmt::format("{:#x}-{:#x} does not begin and end at 4K pages", range.first, range.last),
          fmt::format("give {:#x}-{:#x}", range.first & ~(kPageSize - 1),
                      range.last | (kPageSize - 1)));
    else
      placed.push_back({range, i});
  }

  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.range.first, a.index) < std::pair(b.range.first, b.index);
  });
  const Placed* reaches_farthest = nullptr;
  for (const Placed& next : placed) {
    if (reaches_farthest != nullptr && next.range.Overlaps(reaches_farthest->range))
      errors.Add(fmt::format("/iommu/reserved/{}", next.index),
                 fmt::format("{:#x}-{:#x} overlaps {:#x}-{:#x} at /iommu/reserved/{}",
                             next.range.first, next.range.last, reaches_farthest->range.first,
                             reaches_farthest->range.last, reaches_farthest->index),
                 "keep the ranges apart");
    if (reaches_farthest == nullptr || next.range.last > reaches_farthest->range.last)
      reaches_farthest = &next;
  }
}

// What else one could write for a parameter that must be a power of two.
std::string NearestPowers(const ParamSpec& spec, u64 value) {
  const u64 below = std::bit_floor(value);
  std::string text = "give 0";
  if (below >= spec.min) text += ", " + FormatSize(below);
  if (below <= spec.max / 2) text += " or " + FormatSize(below << 1);
  return text;
}

void CheckParam(const std::string& place, const ParamSpec& spec, u64 value, ErrorList& errors) {
  const bool is_zero_allowed = spec.power_of_two_or_zero;
  if (value == 0 && is_zero_allowed) return;
  if (value < spec.min || value > spec.max)
    errors.Add(place, fmt::format("{} is out of range", value),
               fmt::format("give {}a number from {} to {}", is_zero_allowed ? "0 or " : "",
                           spec.min, spec.max));
  else if (spec.power_of_two_or_zero && !std::has_single_bit(value))
    errors.Add(place, fmt::format("{} is neither 0 nor a power of two", value),
               NearestPowers(spec, value));
}

void ReportUnknown(const std::string& place, const Model& model, const std::string& name,
                   ErrorList& errors) {
  errors.Add(place, fmt::format("{} has no parameter {}", model.name, Quote(name)), [&] {
    std::vector<std::string> names;
    for (const DumpSpec& row : model.dumps) names.emplace_back(row.name);
    for (const ParamSpec& row : model.params) names.emplace_back(row.name);
    return DidYouMean(name, names, OneOf(names, "remove it"));
  });
}

using ParamDrafts = std::map<std::string, std::optional<u64>>;

void CheckParams(const std::string& place, const ParamDrafts& params, const Model& model,
                 ErrorList& errors) {
  for (const auto& param : params) {
    const std::string& name = param.first;
    const std::string param_place = place + "/params/" + PointerToken(name);
    const auto spec = std::find_if(model.params.begin(), model.params.end(),
                                   [&](const ParamSpec& row) { return row.name == name; });
    if (spec != model.params.end()) {
      if (param.second) CheckParam(param_place, *spec, *param.second, errors);
      continue;
    }
    ReportUnknown(param_place, model, name, errors);
  }
}

void CheckDevice(const std::string& place, const DeviceDraft& device, const Model& model,
                 ErrorList& errors) {
  CheckParams(place, device.params, model, errors);
  for (const auto& [name, dump] : device.dumps)
    if (std::ranges::find(model.dumps, name, &DumpSpec::name) == model.dumps.end())
      ReportUnknown(place + "/params/" + PointerToken(name), model, name, errors);
  for (const DumpSpec& spec : model.dumps)
    if (spec.required && !device.dumps.contains(std::string(spec.name)))
      errors.Add(place, fmt::format("{} needs the parameter \"{}\"", model.name, spec.name),
                 fmt::format("give a file: {}", spec.meaning));
  if (!model.dumps.empty()) CheckReplica(place, device, errors);
}

// The model of a device on one of the two buses; null, and a report, where there is none.
const Model* FindModel(const std::string& place, const std::optional<std::string>& name,
                       std::span<const Model> models, bool platform, ErrorList& errors) {
  if (!name) return nullptr;
  const auto model = std::ranges::find(models, *name, &Model::name);
  if (model != models.end() && model->is_platform() == platform) return &*model;
  if (model != models.end()) {
    errors.Add(place + "/model",
               fmt::format("{} is a model of {} devices", *name, platform ? "PCI" : "platform"),
               fmt::format("move it to \"{}\"", platform ? "devices" : "platform"));
    return nullptr;
  }
  errors.Add(place + "/model", fmt::format("no model named {}", Quote(*name)), [&] {
    std::vector<std::string> names;
    for (const Model& row : models)
      if (row.is_platform() == platform) names.emplace_back(row.name);
    return DidYouMean(*name, names, OneOf(names, "there are no models"));
  });
  return nullptr;
}

}  // namespace

void CheckIommu(const Draft& draft, ErrorList& errors) {
  if (draft.page_sizes) CheckPageSizes(*draft.page_sizes, errors);
  if (draft.reserved) CheckReserved(*draft.reserved, errors);
}

void CheckModels(const Draft& draft, std::span<const Model> models, ErrorList& errors) {
  for (std::size_t i = 0; i < draft.devices.size(); ++i) {
    const DeviceDraft& device = draft.devices[i];
    const std::string place = fmt::format("/devices/{}", i);
    if (const Model* model = FindModel(place, device.model, models, false, errors))
      CheckDevice(place, device, *model, errors);
  }
  for (std::size_t i = 0; i < draft.platform.size(); ++i) {
    const PlatformDraft& device = draft.platform[i];
    const std::string place = fmt::format("/platform/{}", i);
    if (const Model* model = FindModel(place, device.model, models, true, errors))
      CheckParams(place, device.params, *model, errors);
  }
}

void CheckNames(const Draft& draft, ErrorList& errors) {
  std::map<std::string, std::string> places;
  for (std::size_t i = 0; i < draft.platform.size(); ++i) {
    if (!draft.platform[i].name) continue;
    const std::string place = fmt::format("/platform/{}/name", i);
    const auto [first, is_new] = places.emplace(*draft.platform[i].name, place);
    if (!is_new)
      errors.Add(place, fmt::format("{} is already at {}", first->first, first->second),
                 "give each device its own name");
  }
}

void Check(const Draft& draft, std::span<const Model> models, ErrorList& errors) {
  CheckIommu(draft, errors);
  CheckModels(draft, models, errors);
  CheckBuses(draft, errors);
  CheckBridges(draft, errors);
  CheckNames(draft, errors);
  CheckGroups(draft, errors);
}

}  // namespace vfiolab::topology
