// The kernel whose interfaces are played, as far as its version and its configuration show.
#pragma once

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "machine/august_policies.hpp"

namespace vfiolab {

// Module parameters that have an effect here. Whoever has the right can change them at any time.
struct ModuleParameters {
  bool allow_unsafe_interrupts = false;
  bool disable_hugepages = false;
  u32 dma_entry_limit = 65535;  // for containers that get a model from then on
  bool disable_idle_d3 = false;
  bool enable_sriov = false;
  bool nointxmask = false;
  u32 allow_unsafe_intrs = 0;  // of the interface of 2010 and 2011

  bool operator==(const ModuleParameters&) const = default;
};

// What clients can tell versions by: each row of the table below is one version.
struct KernelVersion {
  std::string_view name;
  // Type1: what MAP_DMA, UNMAP_DMA and DIRTY_PAGES say of a range that wraps.
  int wrapped_range = EOVERFLOW;
  // Type1: a range may end at 2^64. Where it may not, such a range meets no mapping, and its dirty
  // bits cannot be asked for.
  bool ranges_to_the_end = true;
  // Type1 knows VFIO_TYPE1_NESTING_IOMMU. VT-d has no nested domains, so none can be had.
  bool nesting_type = false;
  // VT-d: a page mapped for writing alone can be read, too.
  bool write_implies_read = false;
  // vfio-pci: a device without PCI Express has the ERR interrupt, too.
  bool errors_of_conventional_pci = true;
  bool dma_buf_feature = true;       // VFIO_DEVICE_FEATURE_DMA_BUF
  bool precopy_info_feature = true;  // VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2

  bool operator==(const KernelVersion&) const = default;
};

// The newest first: it is played where none is chosen.
inline constexpr std::array kKernelVersions = {
    KernelVersion{.name = "7.3"},
    KernelVersion{.name = "6.12",
                  .wrapped_range = EINVAL,
                  .ranges_to_the_end = false,
                  .nesting_type = true,
                  .write_implies_read = true,
                  .errors_of_conventional_pci = false,
                  .dma_buf_feature = false,
                  .precopy_info_feature = false},
};

// An interface of before VFIO was merged, which has the driver "vfio".
struct EarlyApi {
  std::string_view name;
  // Its nodes are called as today's, which are not there then.
  bool replaces_vfio = false;

  bool operator==(const EarlyApi&) const = default;
};

inline constexpr std::array kEarlyApis = {
    EarlyApi{"A5"},       EarlyApi{"A6"},          EarlyApi{"A-jun"},    EarlyApi{"A-jul-15"},
    EarlyApi{"A-jul"},    EarlyApi{"A-aug", true}, EarlyApi{"B0", true}, EarlyApi{"B1", true},
    EarlyApi{"B2", true}, EarlyApi{"B3", true},
};

// The proposals of August 2011, which no kernel ever had.
inline constexpr std::string_view kAugustApi = "A-aug";

struct Kernel {
  KernelVersion version = kKernelVersions.front();
  bool line_interrupts = true;          // CONFIG_VFIO_PCI_INTX
  bool platform_reset_required = true;  // parameter reset_required of vfio_platform
  std::optional<EarlyApi> early_api;    // one of kEarlyApis
  AugustPolicies policies;              // of kAugustApi

  bool has_early_api() const { return early_api.has_value(); }
  // Whether today's interface is there.
  bool has_vfio() const { return !early_api || !early_api->replaces_vfio; }
  bool has_platform_devices() const { return has_vfio() || early_api_name() == kAugustApi; }
  std::string_view early_api_name() const { return early_api ? early_api->name : ""; }

  bool operator==(const Kernel&) const = default;
};

}  // namespace vfiolab
