// A DMA that the IOMMU stopped.
#pragma once
#include <string_view>

#include "base/address.hpp"

namespace vfiolab {

enum class FaultReason {
  kBusMasterDisabled,  // the function may not speak on the bus: COMMAND.BME is clear
  kNotAttached,        // the group has no address space: every address is blocked
  kNotMapped,          // nothing is mapped at this IOVA
  kReadDenied,         // mapped without VFIO_DMA_MAP_FLAG_READ
  kWriteDenied,        // mapped without VFIO_DMA_MAP_FLAG_WRITE
  kMemoryGone,         // mapped, but the client's memory is no longer there
};

struct Fault {
  FaultReason reason;
  Access access;
  Iova at;     // the first byte that was not moved
  u64 length;  // of the whole access
};

// "not mapped", "read denied" ...; static text.
std::string_view Text(FaultReason reason);

}  // namespace vfiolab
