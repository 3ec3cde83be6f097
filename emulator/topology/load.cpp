#include "topology/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "topology/check.hpp"
#include "topology/named_files.hpp"
#include "topology/parse.hpp"
#include "topology/read.hpp"
#include "topology/text.hpp"
#include "topology/virtual_functions.hpp"

namespace vfiolab::topology {
namespace {

// The file's stem, unless that would not do as a name in a topology file.
std::string DefaultName(std::string_view file_name) {
  std::string stem = std::filesystem::path(file_name).stem().string();
  const bool is_ascii =
      std::all_of(stem.begin(), stem.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return is_ascii && IsTopologyName(stem) ? stem : "topology";
}

template <class T, class Key>
void SortBy(std::vector<T>& items, Key T::*key) {
  std::sort(items.begin(), items.end(), [key](const T& a, const T& b) { return a.*key < b.*key; });
}

Iommu FinishIommu(const Draft& draft) {
  Iommu iommu = draft.iommu;
  if (draft.page_sizes) {
    iommu.page_sizes = 0;
    for (const auto& size : *draft.page_sizes) iommu.page_sizes |= *size;
  }
  if (draft.reserved) {
    iommu.reserved.clear();
    for (const ReservedDraft& reserved : *draft.reserved)
      iommu.reserved.push_back({{*reserved.first, *reserved.last}, *reserved.kind});
    std::sort(iommu.reserved.begin(), iommu.reserved.end(),
              [](const auto& a, const auto& b) { return a.range.first < b.range.first; });
  }
  return iommu;
}

GroupSpec FinishGroup(const GroupDraft& group) {
  GroupSpec spec;
  spec.id = *group.id;
  for (const auto& member : group.members)
    if (const Bdf* bdf = std::get_if<Bdf>(&*member))
      spec.members.push_back(*bdf);
    else
      spec.platform_members.push_back(std::get<std::string>(*member));
  std::ranges::sort(spec.members);
  std::ranges::sort(spec.platform_members);
  return spec;
}

template <class T>
std::optional<std::pair<T, T>> FinishWindow(const std::optional<WindowDraft>& window) {
  if (!window) return std::nullopt;
  return std::pair{static_cast<T>(*window->first), static_cast<T>(*window->last)};
}

BridgeSpec FinishBridge(const BridgeDraft& bridge) {
  BridgeSpec spec{.bdf = *bridge.bdf,
                  .kind = *bridge.kind,
                  .ids = UsualIds(*bridge.kind),
                  .secondary_bus = *bridge.secondary_bus,
                  .subordinate_bus = *bridge.subordinate_bus,
                  .acs = HasLink(*bridge.kind) ? std::optional(kUsualAcs) : std::nullopt,
                  .windows = {.memory = FinishWindow<u32>(bridge.memory),
                              .prefetchable = FinishWindow<u64>(bridge.prefetchable),
                              .io = FinishWindow<u16>(bridge.io)},
                  .reports_link = bridge.reports_link};
  if (bridge.acs) spec.acs = *bridge.acs;
  if (bridge.vendor_id) spec.ids.vendor = *bridge.vendor_id;
  if (bridge.device_id) spec.ids.device = *bridge.device_id;
  return spec;
}

// A draft without errors is complete.
TopologySpec Finish(const Draft& draft, std::string_view file_name) {
  TopologySpec spec;
  spec.name = draft.name.empty() ? DefaultName(file_name) : draft.name;
  spec.description = draft.description;
  spec.kernel = draft.kernel;
  spec.iommu = FinishIommu(draft);
  for (const BridgeDraft& bridge : draft.bridges) spec.bridges.push_back(FinishBridge(bridge));
  for (const DeviceDraft& device : draft.devices) {
    DeviceSpec& added = spec.devices.emplace_back();
    added.bdf = *device.bdf;
    added.model = *device.model;
    added.driver = device.driver;
    for (const auto& [name, value] : device.params) added.params.emplace(name, *value);
    for (const auto& [name, dump] : device.dumps) added.dumps.emplace(name, *dump);
    added.rom = device.rom;
    added.physical_function = device.physical_function;
    added.reset = device.reset;
    added.acs = device.acs;
    for (const auto& alias : device.dma_aliases) added.dma_aliases.push_back(*alias);
    std::ranges::sort(added.dma_aliases);
  }
  for (const PlatformDraft& device : draft.platform) {
    PlatformSpec& added = spec.platform.emplace_back();
    added.name = *device.name;
    added.model = *device.model;
    added.driver = device.driver;
    for (const auto& [name, value] : device.params) added.params.emplace(name, *value);
    added.reset = device.reset;
  }
  spec.derives_groups = draft.derives_groups;
  for (const GroupDraft& group : draft.groups) spec.groups.push_back(FinishGroup(group));
  SortBy(spec.bridges, &BridgeSpec::bdf);
  SortBy(spec.devices, &DeviceSpec::bdf);
  SortBy(spec.platform, &PlatformSpec::name);
  SortBy(spec.groups, &GroupSpec::id);
  return spec;
}

// Each once, though several devices may be of it. One that cannot be had is said here, and its
// device then has no model.
std::vector<Model> LoadPlugins(Draft& draft, const std::string& directory,
                               const PluginLoader& load_plugin, ErrorList& errors) {
  std::vector<Model> plugins;
  for (std::size_t i = 0; i < draft.devices.size(); ++i) {
    auto& name = draft.devices[i].model;
    if (!name || name->find('/') == name->npos ||
        std::ranges::count(plugins, *name, &Model::name) != 0)
      continue;
    auto model = load_plugin(std::filesystem::path(directory) / *name, *name);
    if (model) {
      plugins.push_back(*std::move(model));
      continue;
    }
    errors.Add(fmt::format("/devices/{}/model", i),
               fmt::format("{} is no model: {}", Quote(*name), model.error().reason),
               "give a shared object with a vfiolab_plugin() (vfiolab/model.h)");
    name.reset();
  }
  return plugins;
}

Failure<std::vector<ConfigError>> CannotRead(const std::string& path, int code) {
  return {{{path, "", "cannot be read: " + std::generic_category().message(code),
            "give the path of a topology file", ""}}};
}

}  // namespace

Result<TopologySpec, std::vector<ConfigError>> Load(std::string_view text,
                                                    std::string_view file_name,
                                                    std::span<const Model> models,
                                                    const PluginLoader& load_plugin) {
  ErrorList errors(file_name);
  Draft draft;
  std::vector<Model> plugins;
  if (const auto root = Parse(text, errors)) {
    draft = Read(*root, errors);
    const std::string directory = std::filesystem::path(file_name).parent_path().string();
    if (load_plugin) plugins = LoadPlugins(draft, directory, load_plugin, errors);
    std::vector<Model> all(models.begin(), models.end());
    all.insert(all.end(), plugins.begin(), plugins.end());
    ReadNamedFiles(draft, all, directory, errors);
    CompleteVirtualFunctions(draft, errors);
    Check(draft, all, errors);
  }
  if (!errors.empty()) return Failure{errors.Take()};
  TopologySpec spec = Finish(draft, file_name);
  spec.plugins = std::move(plugins);
  return spec;
}

Result<TopologySpec, std::vector<ConfigError>> LoadFile(const std::string& path,
                                                        std::span<const Model> models,
                                                        const PluginLoader& load_plugin) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return CannotRead(path, errno);
  std::string text;
  std::array<char, 64_KiB> part;
  // Not further than where the file is refused for its size: it may go on forever.
  while (file && text.size() <= kMaxFileSize) {
    file.read(part.data(), part.size());
    text.append(part.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad()) return CannotRead(path, errno);
  return Load(text, path, models, load_plugin);
}

}  // namespace vfiolab::topology
