#include "uiommu/domain.hpp"

#include "early/dma.hpp"

namespace vfiolab::uiommu {

void Domain::Enter(std::shared_ptr<AddressSpace> who) {
  if (devices_++ == 0) owner_ = std::move(who);
}

void Domain::Leave() {
  if (--devices_ > 0) return;
  early::RemoveAll(*ioas_);
  owner_.reset();
}

}  // namespace vfiolab::uiommu
