// A registry of models that cannot be created, and short ways to load topologies that use it.
#pragma once
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/platform_device.hpp"
#include "topology/load.hpp"

namespace vfiolab::topology {

inline constexpr std::array kEduParams = {
    ParamSpec{"dma_mask_bits", "bits of an address", 28, 12, 64},
    ParamSpec{"msix_vectors", "MSI-X vectors", 0, 0, 32}};
inline constexpr std::array kTestdevParams = {
    ParamSpec{"membar", "bytes of a memory BAR", 0, 4_KiB, 1_GiB, true}};
inline constexpr std::array kScratchParams = {
    ParamSpec{"msix_vectors", "MSI-X vectors", 0, 0, 2048}};
inline constexpr std::array kCopierParams = {
    ParamSpec{"delay_us", "microseconds", 100, 0, 10'000'000},
    ParamSpec{"memory", "bytes of memory", 64_KiB, 4_KiB, 16_MiB, true}};
inline constexpr std::array kModels = {
    Model{"doorbell", "rings", {}, nullptr},
    Model{"edu", "computes factorials", kEduParams, nullptr},
    Model{"pci-testdev", "counts accesses", kTestdevParams, nullptr},
    Model{"scratch", "remembers", kScratchParams, nullptr},
    Model{"plain", "has no parameters", {}, nullptr},
    Model{.name = "copier",
          .summary = "copies",
          .params = kCopierParams,
          .create = nullptr,
          .create_platform = [](PlatformHost&,
                                const Params&) { return std::unique_ptr<PlatformDevice>(); }},
};

inline const std::string kSourceDir = VFIOLAB_SOURCE_DIR;

inline std::string TextOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline auto LoadText(std::string_view text) { return Load(text, "test.json", kModels); }

// The spec of a text without errors.
inline TopologySpec Loaded(std::string_view text) {
  auto loaded = LoadText(text);
  if (loaded) return *loaded;
  TopologySpec complaint;  // makes a readable test failure
  complaint.name = ToString(loaded.error());
  return complaint;
}

// All that is wrong with a text, one error a line.
inline std::string Complaints(std::string_view text) {
  const auto loaded = LoadText(text);
  return loaded ? "" : ToString(loaded.error());
}

}  // namespace vfiolab::topology
