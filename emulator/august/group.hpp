// /dev/vfio/N as it was proposed in August 2011: memory is mapped on the group itself, and a group
// can be bound to another, which then owns the IOMMU context of both.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "machine/iommu_group.hpp"
#include "machine/machine.hpp"
#include "uapi/ioctl_table.hpp"
#include "uiommu/domain.hpp"

namespace vfiolab::august {

class Device;
class Group;

// What groups have in common that are bound to one.
struct Context {
  std::shared_ptr<Ioas> ioas = std::make_shared<Ioas>();
  std::vector<Group*> groups;  // the owner, then the others as they came
};

class Group final {
 public:
  // `closed` runs when the last file of the group itself is closed.
  Group(Machine& machine, IommuGroup& iommu_group, std::function<void()> closed);
  ~Group();

  Machine& machine() { return machine_; }
  IommuGroup& iommu_group() { return iommu_group_; }
  const AugustPolicies& policies() const { return machine_.kernel().policies; }

  // The devices that are bound to "vfio", by name.
  const std::map<std::string, Device*>& devices() const { return devices_; }
  void Add(Device& device);
  void Remove(Device& device);
  // Whether all functions of the groups that share the context are bound.
  bool viable() const;

  const std::shared_ptr<Context>& context() const { return context_; }
  bool is_bound() const { return context_->groups.front() != this; }
  bool owns_others() const { return !is_bound() && context_->groups.size() > 1; }

  // EBUSY: somebody has it open, or it is not viable, where that matters.
  Result<> CheckOpen() const;
  // Files of the group and of its devices. Without, the group leaves its context, as the policy has
  // it.
  void AddFile();
  void RemoveFile();
  bool in_use() const { return files_ > 0 || owns_others(); }

  // EINVAL: to itself, or either is not on its own, but for an owner. EBUSY: not viable, or there
  // are mappings and they may not, or cannot, come along.
  Result<> BindTo(Group& owner);
  // EINVAL: it is neither bound nor owns others. EBUSY: devices of it are open; or it owns others
  // and has to stay.
  Result<> Release();

  // The uiommu that its devices are in, where memory is mapped so. EBUSY: there is another.
  Result<> EnterDomain(const std::shared_ptr<uiommu::Domain>& domain);
  void LeaveDomain();
  const std::shared_ptr<uiommu::Domain>& domain() const { return domain_; }

  // Files of the group alone.
  unsigned open_groups = 0;
  void OnClosed() { closed_(); }
  void FinishGivingBack();

 private:
  bool all_bound() const {
    return devices_.size() ==
           iommu_group_.devices().size() + iommu_group_.platform_devices().size();
  }
  Result<> TakeAlong(Ioas& to);
  void Leave();
  void LetChildrenGo();
  void StandAlone();
  void Attach();

  Machine& machine_;
  IommuGroup& iommu_group_;
  std::function<void()> closed_;
  std::shared_ptr<Context> context_;
  std::map<std::string, Device*> devices_;
  unsigned files_ = 0;
  std::shared_ptr<uiommu::Domain> domain_;
  unsigned devices_in_domain_ = 0;
};

}  // namespace vfiolab::august
