// The IOMMU of merged groups, through which memory is mapped for their devices
// (drivers/vfio/vfio_iommu.c, 2011).
#pragma once
#include "merge/iommu_set.hpp"
#include "uapi/revised_ioctls.hpp"

namespace vfiolab::merge {

class IommuFile final : public OpenFile {
 public:
  explicit IommuFile(std::shared_ptr<IommuSet> set) : set_(std::move(set)) { set_->AddFile(); }
  ~IommuFile() override { set_->RemoveFile(); }

  std::string Name() const override { return "[vfio-iommu]"; }
  bool has_node() const override { return false; }
  bool can_transfer() const override { return false; }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;

  static uapi::NamedNumbers IoctlNumbers(const Revision& revision);

 private:
  using IoctlCall = uapi::IoctlCall;
  // B0 and B1.
  Reply GetFlags(const IoctlCall& call);
  Reply MapOctober(const IoctlCall& call);
  Reply UnmapOctober(const IoctlCall& call);
  // B2 and B3.
  Reply GetInfo(const IoctlCall& call);
  Reply GetInfoB3(const IoctlCall& call);
  Reply Map(const IoctlCall& call);
  Reply Unmap(const IoctlCall& call);

  struct Table;
  std::shared_ptr<IommuSet> set_;
};

}  // namespace vfiolab::merge
