#include "vfio/group.hpp"

#include "uapi/copy_in_string.hpp"
#include "vfio/group_device.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

Result<std::shared_ptr<OpenFile>> Group::Open() {
  // By a path that was looked up before its node went: while somebody has it open, it is the
  // group that refuses.
  if (retired_)
    return Fail(open_ ? ENODEV : ENXIO, fmt::format("group {} is gone", iommu_group_.id()));
  if (open_) return Fail(EBUSY, fmt::format("group {} is already open", iommu_group_.id()));
  open_ = true;
  return std::shared_ptr<OpenFile>(std::make_shared<GroupFile>(shared_from_this()));
}

void Group::Retire() {
  LeaveContainer();
  retired_ = true;
}

Result<> Group::SetContainer(std::shared_ptr<Container> container) {
  if (!iommu_group_.DmaUnclaimed())
    return Fail(EPERM, fmt::format("a host driver owns a device of group {}", iommu_group_.id()));
  TRY(container->Add(*this));
  container_ = std::move(container);
  iommu_group_.set_owned_by_user(true);
  return {};
}

void Group::LeaveContainer() {
  if (!container_) return;
  container_->Remove(*this);
  container_.reset();
  iommu_group_.set_owned_by_user(false);
}

GroupFile::~GroupFile() {
  group_.LeaveContainer();
  group_.open_ = false;
}

std::string GroupFile::Name() const {
  return "/dev/vfio/" + std::to_string(group_.iommu_group().id());
}

struct GroupFile::Table {
  static constexpr auto kRows = uapi::Ioctls<GroupFile>({
      {VFIO_GROUP_GET_STATUS, "VFIO_GROUP_GET_STATUS", &GroupFile::GetStatus},
      {VFIO_GROUP_SET_CONTAINER, "VFIO_GROUP_SET_CONTAINER", &GroupFile::SetContainer},
      {VFIO_GROUP_UNSET_CONTAINER, "VFIO_GROUP_UNSET_CONTAINER", &GroupFile::UnsetContainer},
      {VFIO_GROUP_GET_DEVICE_FD, "VFIO_GROUP_GET_DEVICE_FD", &GroupFile::GetDeviceFd},
  });
};

std::vector<const char*> GroupFile::IoctlNames() {
  std::vector<const char*> names;
  for (const auto& row : Table::kRows) names.push_back(row.name);
  return names;
}

Reply GroupFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  return Dispatch(Table::kRows, *this, caller, command, argument, ENOTTY);
}

Reply GroupFile::GetStatus(const IoctlCall& call) {
  vfio_group_status status{};
  TRY(CopyIn(call, status));
  if (group_.retired()) return Fail(ENODEV, "the group has no device any more");
  status.flags = (group_.viable() ? VFIO_GROUP_FLAGS_VIABLE : 0u) |
                 (group_.container() != nullptr ? VFIO_GROUP_FLAGS_CONTAINER_SET : 0u);
  TRY(CopyOut(call, status));
  return 0;
}

Reply GroupFile::SetContainer(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  if (fd < 0) return Fail(EBADF, fmt::format("descriptor {}", fd));
  const auto file = TRY(call.caller.ImportOpenFile(fd));
  if (group_.retired()) return Fail(ENODEV, "the group has no device any more");
  if (group_.container() != nullptr) return Fail(EINVAL, "the group is already in a container");
  const auto container = std::dynamic_pointer_cast<ContainerFile>(file);
  if (!container) return Fail(EBADFD, fmt::format("descriptor {} is no container", fd));
  TRY(group_.SetContainer(container->container()));
  return 0;
}

Reply GroupFile::UnsetContainer(const IoctlCall&) {
  if (group_.container() == nullptr) return Fail(EINVAL, "the group is in no container");
  if (open_devices > 0) return Fail(EBUSY, fmt::format("{} devices are open", open_devices));
  group_.LeaveContainer();
  return 0;
}

Result<GroupDevice*> GroupFile::FindDevice(const std::string& name) const {
  for (GroupDevice* device : group_.devices())
    if (TRY(device->IsCalled(name)) && !device->wanted_back()) return device;
  return Fail(ENODEV, fmt::format("group {} has no device '{}'", group_.iommu_group().id(), name));
}

Reply GroupFile::GetDeviceFd(const IoctlCall& call) {
  const std::string name = TRY(uapi::CopyInString(call));
  GroupDevice* device = TRY(FindDevice(name));
  if (group_.container() == nullptr) return Fail(EINVAL, "the group is in no container");
  if (group_.container()->type1() == nullptr) return Fail(EINVAL, "the container has no IOMMU set");
  return Completion{0L, device->MakeFile(shared_from_this()), {}};
}

}  // namespace vfiolab::vfio
