// /dev/vfio/N: ownership of an IOMMU group (drivers/vfio/group.c).
#pragma once
#include <memory>

#include "vfio/container.hpp"

namespace vfiolab::vfio {

class Device;
class GroupFile;

// What the kernel keeps of a group whether or not it is open.
class Group {
 public:
  Group(IommuGroup& iommu_group, std::vector<Device*> devices)
      : iommu_group_(iommu_group), devices_(std::move(devices)) {}

  IommuGroup& iommu_group() { return iommu_group_; }
  const std::vector<Device*>& devices() const { return devices_; }
  Container* container() { return container_.get(); }

  // EBUSY: already open. One open file description of a group exists at a time; open devices keep
  // it after its descriptors are closed.
  Result<std::shared_ptr<OpenFile>> Open();

  bool viable() const { return container_ != nullptr || iommu_group_.DmaUnclaimed(); }
  // EPERM: a host driver owns a member; else what the container says.
  Result<> SetContainer(std::shared_ptr<Container> container);
  void LeaveContainer();

 private:
  friend class GroupFile;
  IommuGroup& iommu_group_;
  std::vector<Device*> devices_;  // bound to vfio-pci, in Bdf order
  std::shared_ptr<Container> container_;
  bool open_ = false;
};

class GroupFile final : public OpenFile, public std::enable_shared_from_this<GroupFile> {
 public:
  explicit GroupFile(Group& group) : group_(group) {}
  ~GroupFile() override;

  Group& group() { return group_; }
  std::string Name() const override;
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;

  static std::vector<const char*> IoctlNames();

  // Devices opened through this file and not yet closed.
  unsigned open_devices = 0;

 private:
  Reply GetStatus(const uapi::IoctlCall& call);
  Reply SetContainer(const uapi::IoctlCall& call);
  Reply UnsetContainer(const uapi::IoctlCall& call);
  Reply GetDeviceFd(const uapi::IoctlCall& call);
  Result<Device*> FindDevice(const std::string& name) const;

  struct Table;
  Group& group_;
};

}  // namespace vfiolab::vfio
