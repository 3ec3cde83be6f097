// /dev/uiommu: each open is an IOMMU domain that devices can be put into (drivers/vfio/uiommu.c).
#pragma once
#include <memory>

#include "iommu/ioas.hpp"
#include "vfs/node.hpp"

namespace vfiolab::uiommu {

// Lives as long as its file or a device in it.
class Domain {
 public:
  const std::shared_ptr<Ioas>& ioas() const { return ioas_; }

  // Who put the first device in: since the June of 2011 others may not add to it.
  const std::shared_ptr<AddressSpace>& owner() const { return owner_; }
  void Enter(std::shared_ptr<AddressSpace> who);
  // With the last device go all mappings and the owner.
  void Leave();

 private:
  std::shared_ptr<Ioas> ioas_ = std::make_shared<Ioas>();
  std::shared_ptr<AddressSpace> owner_;
  unsigned devices_ = 0;
};

class DomainFile final : public OpenFile {
 public:
  const std::shared_ptr<Domain>& domain() const { return domain_; }
  std::string Name() const override { return "/dev/uiommu"; }
  bool can_transfer() const override { return false; }

 private:
  std::shared_ptr<Domain> domain_ = std::make_shared<Domain>();
};

// /dev/uiommu.
void AddDomainNode(Directory& dev);

}  // namespace vfiolab::uiommu
