// /dev/vfio/N: ownership of an IOMMU group (drivers/vfio/group.c).
#pragma once
#include <memory>

#include "vfio/container.hpp"

namespace vfiolab::vfio {

class GroupDevice;
class GroupFile;

// What the kernel keeps of a group whether or not it is open, as long as a driver of VFIO has one
// of its devices.
class Group : public std::enable_shared_from_this<Group> {
 public:
  explicit Group(IommuGroup& iommu_group) : iommu_group_(iommu_group) {}

  IommuGroup& iommu_group() { return iommu_group_; }
  const std::vector<GroupDevice*>& devices() const { return devices_; }
  void Add(GroupDevice& device) { devices_.push_back(&device); }
  void Remove(GroupDevice& device) { std::erase(devices_, &device); }
  // The last device has gone: files that are open are of no use any more, even when it comes back.
  void Retire();
  bool retired() const { return retired_; }
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
  std::vector<GroupDevice*> devices_;  // bound to a driver of VFIO
  bool retired_ = false;
  std::shared_ptr<Container> container_;
  bool open_ = false;
};

class GroupFile final : public OpenFile, public std::enable_shared_from_this<GroupFile> {
 public:
  explicit GroupFile(std::shared_ptr<Group> group) : kept_(std::move(group)), group_(*kept_) {}
  ~GroupFile() override;

  Group& group() { return group_; }
  std::string Name() const override;
  bool can_transfer() const override { return false; }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;

  static std::vector<const char*> IoctlNames();

  // Devices opened through this file and not yet closed.
  unsigned open_devices = 0;

 private:
  Reply GetStatus(const uapi::IoctlCall& call);
  Reply SetContainer(const uapi::IoctlCall& call);
  Reply UnsetContainer(const uapi::IoctlCall& call);
  Reply GetDeviceFd(const uapi::IoctlCall& call);
  Result<GroupDevice*> FindDevice(const std::string& name) const;

  struct Table;
  std::shared_ptr<Group> kept_;
  Group& group_;
};

}  // namespace vfiolab::vfio
