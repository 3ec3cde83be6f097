#include "iommu/fault.hpp"

namespace vfiolab {

std::string_view Text(FaultReason reason) {
  switch (reason) {
    case FaultReason::kBusMasterDisabled:
      return "bus mastering is disabled in COMMAND";
    case FaultReason::kNotAttached:
      return "the group is attached to no address space";
    case FaultReason::kNotMapped:
      return "the IOVA is not mapped";
    case FaultReason::kReadDenied:
      return "the mapping does not allow the device to read";
    case FaultReason::kWriteDenied:
      return "the mapping does not allow the device to write";
    case FaultReason::kMemoryGone:
      return "the client's memory behind the mapping is gone";
  }
  return "unknown";
}

}  // namespace vfiolab
