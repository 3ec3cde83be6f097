#include "vfio/irq_request.hpp"

#include <bit>
#include <limits>

namespace vfiolab::vfio {

int IrqRequest::fd(u32 i) const {
  int value = -1;
  std::memcpy(&value, data.data() + i * sizeof value, sizeof value);
  return value;
}

Result<IrqRequest> CopyInIrqRequest(const uapi::IoctlCall& call, u32 indexes,
                                    const std::function<u32(u32 index)>& limit_of) {
  constexpr u32 kHeader = offsetof(vfio_irq_set, data);
  vfio_irq_set set{};
  TRY(uapi::CopyIn(call, set, kHeader));
  constexpr u32 kKnown = VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK;
  if (set.index >= indexes || set.count >= std::numeric_limits<u32>::max() - set.start ||
      (set.flags & ~kKnown))
    return Fail(EINVAL, fmt::format("index {}, start {}, count {} or flags {:#x}", set.index,
                                    set.start, set.count, set.flags));
  const u32 max = limit_of(set.index);
  if (set.start >= max || set.start + set.count > max)
    return Fail(EINVAL,
                fmt::format("start {} + count {} of {} vectors", set.start, set.count, max));
  const u32 type = set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
  if (!std::has_single_bit(type))
    return Fail(EINVAL, fmt::format("data type {:#x} is not exactly one", type));
  IrqRequest request{.caller = call.caller,
                     .index = set.index,
                     .start = set.start,
                     .count = set.count,
                     .data_type = type,
                     .action = set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK,
                     .data = {}};
  const u64 each = type == VFIO_IRQ_SET_DATA_EVENTFD ? 4 : type == VFIO_IRQ_SET_DATA_BOOL ? 1 : 0;
  if (set.argsz - kHeader < set.count * each)
    return Fail(EINVAL, fmt::format("argsz {} is short of {} entries", set.argsz, set.count));
  request.data.resize(set.count * each);
  if (!request.data.empty()) TRY(call.caller.memory().Read(call.pointer() + kHeader, request.data));
  return request;
}

}  // namespace vfiolab::vfio
