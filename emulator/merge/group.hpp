// /dev/vfio/N: an IOMMU group, which can be merged with others (drivers/vfio/vfio_main.c, 2011).
#pragma once
#include <map>
#include <memory>
#include <string>

#include "machine/iommu_group.hpp"
#include "merge/iommu_set.hpp"
#include "uapi/revised_ioctls.hpp"

namespace vfiolab::merge {

class Device;
class GroupFile;

// What the kernel keeps of a group whether or not it is open. Any number of processes may open it.
class Group final {
 public:
  // `closed` runs when the last file of the group is closed.
  Group(Machine& machine, IommuGroup& iommu_group, const Revision& revision,
        std::function<void()> closed);
  ~Group();

  IommuGroup& iommu_group() { return iommu_group_; }
  const std::shared_ptr<IommuSet>& set() const { return set_; }
  const Revision& revision() const { return set_->revision(); }
  std::string node_name() const;

  // The functions that are bound to "vfio".
  const std::map<Bdf, Device*>& devices() const { return devices_; }
  void Add(Device& device);
  void Remove(Device& device);
  bool all_bound() const;
  // Those that are to go do so, if the set is not in use any more.
  void FinishGivingBack();

  bool open() const { return files_ > 0; }
  void OnOpen() { ++files_; }
  void OnClose();
  // The last function has left the bus, and nobody has the group open.
  void OnEmptied();

  // Files of its devices.
  unsigned open_devices = 0;

  // Puts `other` into the set of this group. EINVAL: it is this one, or its IOMMU is open, or it is
  // merged already. Else what opening their IOMMUs says; `other`'s stays open when only that of
  // this group could not be opened.
  Result<> Merge(Group& other, const std::shared_ptr<AddressSpace>& who);
  // Leaves the set for one of its own, which is closed.
  void StandAlone();

 private:
  Machine& machine_;
  IommuGroup& iommu_group_;
  std::function<void()> closed_;
  std::shared_ptr<IommuSet> set_;
  std::map<Bdf, Device*> devices_;
  unsigned files_ = 0;
};

class GroupFile final : public OpenFile {
 public:
  explicit GroupFile(Group& group) : group_(group) { group_.OnOpen(); }
  ~GroupFile() override { group_.OnClose(); }

  std::string Name() const override { return "/dev/vfio/" + group_.node_name(); }
  bool can_transfer() const override { return false; }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;

  // The rows of the table of a revision, for documentation checks.
  static uapi::NamedNumbers IoctlNumbers(const Revision& revision);

 private:
  using IoctlCall = uapi::IoctlCall;
  Reply GetFlags(const IoctlCall& call);
  Reply GetInfo(const IoctlCall& call);
  Reply Merge(const IoctlCall& call);
  Reply UnmergeOther(const IoctlCall& call);
  Reply UnmergeThis(const IoctlCall& call);
  Reply GetIommuFd(const IoctlCall& call);
  Reply GetDeviceFd(const IoctlCall& call);

  bool AsksOnly(u32 command) const;
  u32 Flags() const;
  Result<> OpenIommu(CallContext& caller);
  // The group behind a descriptor that an argument points to.
  Result<Group*> ImportGroup(const IoctlCall& call);
  static Result<> Unmerge(Group& group);

  struct Table;
  Group& group_;
};

}  // namespace vfiolab::merge
