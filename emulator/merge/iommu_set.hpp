// What merged groups share: an IOMMU that is opened for all of them (struct vfio_iommu of
// drivers/vfio/vfio_main.c, 2011). Nobody owns it: it is there as long as any file of the set is.
#pragma once
#include <memory>
#include <vector>

#include "machine/machine.hpp"
#include "merge/revision.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::merge {

class Group;

class IommuSet final : public std::enable_shared_from_this<IommuSet> {
 public:
  IommuSet(Machine& machine, const Revision& revision) : machine_(machine), revision_(revision) {}

  Machine& machine() { return machine_; }
  const Revision& revision() const { return revision_; }

  // Those that are merged; one that is not merged is alone in its set.
  const std::vector<Group*>& groups() const { return groups_; }
  void Add(Group& group);
  void Remove(Group& group);

  // Whether each function of each group is bound to "vfio".
  bool viable() const;
  // Null while the IOMMU is closed.
  const std::shared_ptr<Ioas>& ioas() const { return ioas_; }
  bool open() const { return ioas_ != nullptr; }
  // Who opened it, and so alone may use the groups; null while it is closed. EPERM: not `who`.
  Result<> CheckLock(const std::shared_ptr<AddressSpace>& who) const;
  const std::shared_ptr<AddressSpace>& locked_by() const { return locked_by_; }
  // EBUSY: not viable. EFAULT: interrupts are not isolated, in revisions that ask.
  Result<> Open(std::shared_ptr<AddressSpace> who);
  // All functions are detached, and all mappings go.
  void Close();

  // Files of the IOMMU and of devices. Where there are none, the release of any file closes it.
  bool in_use() const { return files_ > 0; }
  void AddFile() { ++files_; }
  void RemoveFile();
  // A file of a group or of the set was closed: without files the IOMMU is closed; without files of
  // groups, too, the groups are apart again.
  void Settle();

 private:
  Machine& machine_;
  const Revision& revision_;
  std::vector<Group*> groups_;
  std::shared_ptr<Ioas> ioas_;
  std::shared_ptr<AddressSpace> locked_by_;
  unsigned files_ = 0;
};

}  // namespace vfiolab::merge
