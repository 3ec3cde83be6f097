// VFIO_DEVICE_SET_IRQS as it comes in (vfio_main.c vfio_set_irqs_validate_and_prepare).
#pragma once
#include <linux/vfio.h>

#include <functional>
#include <vector>

#include "uapi/ioctl_table.hpp"

namespace vfiolab::vfio {

// The data of one SET_IRQS, copied in.
struct IrqRequest {
  CallContext& caller;
  u32 index;
  u32 start;
  u32 count;
  u32 data_type;  // VFIO_IRQ_SET_DATA_*
  u32 action;     // VFIO_IRQ_SET_ACTION_*
  std::vector<std::byte> data;

  bool flag(u32 i) const { return data[i] != std::byte{0}; }
  int fd(u32 i) const;
  // Whether it has no data, or the flag of its only interrupt is set.
  bool is_set() const { return data_type == VFIO_IRQ_SET_DATA_NONE || flag(0); }
};

// Checks it, for a device that has `indexes` indexes and limit_of(index) interrupts at one.
Result<IrqRequest> CopyInIrqRequest(const uapi::IoctlCall& call, u32 indexes,
                                    const std::function<u32(u32 index)>& limit_of);

}  // namespace vfiolab::vfio
