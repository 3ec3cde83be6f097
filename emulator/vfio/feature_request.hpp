// VFIO_DEVICE_FEATURE, as far as no driver is asked (vfio_main.c vfio_ioctl_device_feature).
#pragma once
#include <linux/vfio.h>

#include "machine/kernel.hpp"
#include "uapi/ioctl_table.hpp"

namespace vfiolab::vfio {

struct FeatureRequest {
  u32 argsz;
  u32 flags;
  u32 index;
  u32 operation;  // VFIO_DEVICE_FEATURE_GET, _SET, both or neither
};

Result<FeatureRequest> CopyInFeature(const uapi::IoctlCall& call, const KernelVersion& kernel);

}  // namespace vfiolab::vfio
