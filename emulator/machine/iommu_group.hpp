// The smallest set of devices that the IOMMU can tell from the rest.
#pragma once
#include <vector>

#include "iommu/ioas.hpp"
#include "machine/device_slot.hpp"
#include "machine/platform_slot.hpp"

namespace vfiolab {

struct Bridge;

class IommuGroup {
 public:
  explicit IommuGroup(unsigned id) : id_(id) {}

  unsigned id() const { return id_; }
  const std::vector<DeviceSlot*>& devices() const { return devices_; }
  const std::vector<Bdf>& bridges() const { return bridges_; }
  const std::vector<PlatformSlot*>& platform_devices() const { return platform_devices_; }
  bool has_devices() const { return !devices_.empty() || !platform_devices_.empty(); }
  std::size_t size() const { return devices_.size() + bridges_.size() + platform_devices_.size(); }
  void Add(DeviceSlot& slot);
  void Add(PlatformSlot& slot);
  void Remove(DeviceSlot& slot) { std::erase(devices_, &slot); }
  void Add(Bridge& bridge);

  // True when no member is driven by a host driver, so that user space may own the group's DMA.
  // Bridges do not count: their driver does no DMA (iommu.c iommu_group_claim_dma_owner).
  bool DmaUnclaimed() const;

  // Whether a container has the group, so that no driver of the host may have a member.
  bool owned_by_user() const { return owned_by_user_; }
  void set_owned_by_user(bool owned) { owned_by_user_ = owned; }

  // Where the members' DMA goes; null blocks it.
  const std::shared_ptr<Ioas>& ioas() const { return ioas_; }
  void Attach(std::shared_ptr<Ioas> ioas) { ioas_ = std::move(ioas); }

 private:
  unsigned id_;
  std::vector<DeviceSlot*> devices_;  // in Bdf order
  std::vector<Bdf> bridges_;
  std::vector<PlatformSlot*> platform_devices_;  // ordered by name
  std::shared_ptr<Ioas> ioas_;
  bool owned_by_user_ = false;
};

}  // namespace vfiolab
