#include "vfio/group.hpp"

#include <algorithm>

#include "uapi/copy_in_string.hpp"
#include "vfio/device.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

namespace {

constexpr std::string_view kTokenKey = "vf_token=";
constexpr std::size_t kUuidLength = 36;

bool IsUuid(std::string_view text) {
  for (std::size_t i = 0; i < kUuidLength; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0)
      return false;
  }
  return true;
}

Uuid ParseUuid(std::string_view text) {
  Uuid uuid{};
  std::size_t digits = 0;
  for (const char c : text) {
    if (c == '-') continue;
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    std::byte& byte = uuid[digits++ / 2];
    byte = byte << 4 | static_cast<std::byte>(digit);
  }
  return uuid;
}

// What follows the BDF in a device name: spaces and at most one vf_token=UUID, which comes back.
Result<std::optional<Uuid>> ReadOptions(std::string_view options) {
  std::optional<Uuid> token;
  while (!options.empty()) {
    if (options.front() == ' ') {
      options.remove_prefix(1);
      continue;
    }
    if (!options.starts_with(kTokenKey) || options.size() < kTokenKey.size() + kUuidLength ||
        !IsUuid(options.substr(kTokenKey.size(), kUuidLength)) || token)
      return Fail(EINVAL, fmt::format("'{}' is no vf_token=UUID", options));
    options.remove_prefix(kTokenKey.size());
    token = ParseUuid(options.substr(0, kUuidLength));
    options.remove_prefix(kUuidLength);
  }
  return token;
}

}  // namespace

Result<std::shared_ptr<OpenFile>> Group::Open() {
  // By a path that was looked up before its node went: while somebody has it open, it is the
  // group that refuses.
  if (retired_)
    return Fail(open_ ? ENODEV : ENXIO, fmt::format("group {} is gone", iommu_group_.id()));
  if (open_) return Fail(EBUSY, fmt::format("group {} is already open", iommu_group_.id()));
  open_ = true;
  return std::shared_ptr<OpenFile>(std::make_shared<GroupFile>(shared_from_this()));
}

void Group::Add(Device& device) {
  const auto at = std::ranges::upper_bound(devices_, device.slot().bdf(), {},
                                           [](Device* other) { return other->slot().bdf(); });
  devices_.insert(at, &device);
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

Result<Device*> GroupFile::FindDevice(const std::string& name) const {
  for (Device* device : group_.devices()) {
    const std::string bdf = device->slot().bdf().ToString();
    if (!name.starts_with(bdf)) continue;
    if (name.size() > bdf.size() && name[bdf.size()] != ' ') continue;
    const auto token = TRY(ReadOptions(std::string_view(name).substr(bdf.size())));
    TRY(device->CheckToken(token));
    if (device->wanted_back()) break;
    return device;
  }
  return Fail(ENODEV, fmt::format("group {} has no device '{}'", group_.iommu_group().id(), name));
}

Reply GroupFile::GetDeviceFd(const IoctlCall& call) {
  const std::string name = TRY(uapi::CopyInString(call));
  Device* device = TRY(FindDevice(name));
  if (group_.container() == nullptr) return Fail(EINVAL, "the group is in no container");
  if (group_.container()->type1() == nullptr) return Fail(EINVAL, "the container has no IOMMU set");
  return Completion{0L, std::make_shared<DeviceFile>(*device, shared_from_this()), {}};
}

}  // namespace vfiolab::vfio
