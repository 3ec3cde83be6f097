#include "vfio/container.hpp"

#include <algorithm>

#include "vfio/group.hpp"

namespace vfiolab::vfio {

using uapi::IoctlCall;
using uapi::IoctlRow;
using uapi::Ioctls;

namespace {

constexpr u64 kNestingType = 6;  // VFIO_TYPE1_NESTING_IOMMU, which newer headers do not have

}  // namespace

Result<> Container::Attach(Group& group) {
  if (type1_->has_invalid_addresses()) return Fail(EBUSY, "a mapping's vaddr is invalid");
  if (!machine_.iommu().interrupt_isolation && !machine_.parameters().allow_unsafe_interrupts)
    return Fail(EPERM, "the IOMMU does not isolate interrupts and allow_unsafe_interrupts is 0");
  group.iommu_group().Attach(type1_->ioas());
  return {};
}

Result<> Container::Add(Group& group) {
  if (type1_) TRY(Attach(group));
  groups_.emplace(group.iommu_group().id(), &group);
  return {};
}

void Container::Remove(Group& group) {
  group.iommu_group().Attach(nullptr);
  groups_.erase(group.iommu_group().id());
  if (groups_.empty()) type1_.reset();
}

long Container::Extension(u64 extension) const {
  switch (extension) {
    case VFIO_TYPE1_IOMMU:
    case VFIO_TYPE1v2_IOMMU:
    case VFIO_UNMAP_ALL:
      return 1;
    case kNestingType:
      return machine_.kernel().version.nesting_type ? 1 : 0;
    case VFIO_UPDATE_VADDR:
      return type1_ ? 1 : 0;
    case VFIO_DMA_CC_IOMMU:
      return type1_ && machine_.iommu().coherent ? 1 : 0;
    default:
      return 0;
  }
}

Result<> Container::SetIommu(u64 type) {
  if (groups_.empty()) return Fail(EINVAL, "no group is in the container");
  if (type1_) return Fail(EINVAL, "the IOMMU is already set");
  if (Extension(type) <= 0) return Fail(ENODEV, fmt::format("no IOMMU of type {}", type));
  if (type == kNestingType) return Fail(EINVAL, "the IOMMU has no nested domains");
  if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
    return Fail(EINVAL, fmt::format("{} is an extension, not a type", type));
  type1_ =
      std::make_shared<Type1>(machine_.iommu(), machine_.kernel().version,
                              machine_.parameters().dma_entry_limit, static_cast<unsigned>(type));
  for (const auto& [id, group] : groups_) {
    if (auto attached = Attach(*group); !attached) {
      for (const auto& [other, undo] : groups_) undo->iommu_group().Attach(nullptr);
      type1_.reset();
      return attached;
    }
  }
  return {};
}

struct ContainerFile::Tables {
  // What the core answers by itself.
  static constexpr auto kCore = Ioctls<ContainerFile>({
      {VFIO_GET_API_VERSION, "VFIO_GET_API_VERSION", &ContainerFile::GetApiVersion},
      {VFIO_CHECK_EXTENSION, "VFIO_CHECK_EXTENSION", &ContainerFile::CheckExtension},
      {VFIO_SET_IOMMU, "VFIO_SET_IOMMU", &ContainerFile::SetIommu},
  });
  // What goes to the IOMMU backend once there is one.
  static constexpr auto kType1 = Ioctls<ContainerFile>({
      {VFIO_IOMMU_GET_INFO, "VFIO_IOMMU_GET_INFO", &ContainerFile::GetInfo},
      {VFIO_IOMMU_MAP_DMA, "VFIO_IOMMU_MAP_DMA", &ContainerFile::MapDma},
      {VFIO_IOMMU_UNMAP_DMA, "VFIO_IOMMU_UNMAP_DMA", &ContainerFile::UnmapDma},
      {VFIO_IOMMU_DIRTY_PAGES, "VFIO_IOMMU_DIRTY_PAGES", &ContainerFile::DirtyPages},
  });
};

std::vector<const char*> ContainerFile::IoctlNames() {
  std::vector<const char*> names;
  for (const auto& row : Tables::kCore) names.push_back(row.name);
  for (const auto& row : Tables::kType1) names.push_back(row.name);
  return names;
}

Reply ContainerFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  const bool core = std::ranges::any_of(
      Tables::kCore, [&](const IoctlRow<ContainerFile>& row) { return row.command == command; });
  if (core) return Dispatch(Tables::kCore, *this, caller, command, argument, EINVAL);
  if (container_->type1() == nullptr)
    return Fail(EINVAL, fmt::format("ioctl {:#x} before VFIO_SET_IOMMU", command));
  return Dispatch(Tables::kType1, *this, caller, command, argument, ENOTTY);
}

Reply ContainerFile::GetApiVersion(const IoctlCall&) { return long{VFIO_API_VERSION}; }

Reply ContainerFile::CheckExtension(const IoctlCall& call) {
  return container_->Extension(call.argument);
}

Reply ContainerFile::SetIommu(const IoctlCall& call) {
  TRY(container_->SetIommu(call.argument));
  return 0;
}

}  // namespace vfiolab::vfio
