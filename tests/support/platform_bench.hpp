// A bench with platform devices, one of which is open.
#pragma once
#include "support/bench.hpp"

namespace vfiolab::test {

inline constexpr char kPlatform[] = "fe000000.plain";

struct PlatformBench : Bench {
  explicit PlatformBench(const Model& model = kPlainPlatform, bool has_reset = true)
      : PlatformBench(std::vector<PlacedPlatform>{
            {.name = kPlatform, .model = &model, .group = 1, .has_reset = has_reset}}) {}
  explicit PlatformBench(std::vector<PlacedPlatform> placed)
      : Bench({}, VtdIommu(), {.platform_reset_required = false}, std::move(placed)),
        domain(OpenDomain()),
        device(static_cast<int>(GetDevice(domain.group, kPlatform))) {
    Must(device >= 0);
  }
  PlatformSlot& platform() { return *machine.platform_device(kPlatform); }
  vfio_region_info Region(u32 index) {
    vfio_region_info info{.argsz = sizeof info, .index = index};
    Must(Ioctl(device, VFIO_DEVICE_GET_REGION_INFO, info) == 0);
    return info;
  }
  vfio_irq_info Irq(u32 index) {
    vfio_irq_info info{.argsz = sizeof info, .index = index};
    Must(Ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, info) == 0);
    return info;
  }
  Opened domain;
  int device;
};

}  // namespace vfiolab::test
