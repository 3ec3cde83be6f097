#include "uiommu/domain.hpp"

#include "early/dma.hpp"

namespace vfiolab::uiommu {

void Domain::Enter(std::shared_ptr<AddressSpace> who) {
  if (devices_++ == 0) owner_ = std::move(who);
}

void AddDomainNode(Directory& dev) {
  dev.Add("uiommu",
          std::make_shared<DeviceNode>(0600, [](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
            return std::shared_ptr<OpenFile>(std::make_shared<DomainFile>());
          }));
}

void Domain::Leave() {
  if (--devices_ > 0) return;
  early::RemoveAll(*ioas_);
  owner_.reset();
}

}  // namespace vfiolab::uiommu
