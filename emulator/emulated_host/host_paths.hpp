// How the emulated host and the real one share /dev and /sys.
#pragma once
#include <algorithm>
#include <array>
#include <string_view>

namespace vfiolab {

// Directories that both fill; every other directory of the emulated tree takes the real one's
// place.
constexpr bool IsSharedDirectory(std::string_view path) {
  constexpr std::array<std::string_view, 8> kShared{
      "/dev",        "/sys",       "/sys/bus", "/sys/class", "/sys/devices", "/sys/devices/virtual",
      "/sys/kernel", "/sys/module"};
  return std::ranges::find(kShared, path) != kShared.end();
}

// What of the real host is not on the emulated one: its PCI devices, and nodes that it may have
// too.
constexpr bool IsHiddenOfHost(std::string_view path) {
  return path.starts_with("/sys/devices/pci") || path.starts_with("/dev/vfio") ||
         path == "/dev/iommu" || path == "/dev/uiommu";
}

}  // namespace vfiolab
