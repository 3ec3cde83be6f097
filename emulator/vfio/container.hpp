// /dev/vfio/vfio: a set of groups that share one IOMMU address space (drivers/vfio/container.c).
#pragma once
#include <map>
#include <memory>

#include "machine/machine.hpp"
#include "vfio/type1.hpp"

namespace vfiolab::vfio {

class Group;

// Lives as long as its file or a group in it.
class Container {
 public:
  explicit Container(Machine& machine) : machine_(machine) {}

  Machine& machine() { return machine_; }
  // Null before SET_IOMMU. A call that waits for its client holds it by itself.
  const std::shared_ptr<Type1>& type1() { return type1_; }

  // EBUSY while a vaddr is invalid; EPERM without interrupt isolation.
  Result<> Add(Group& group);
  // With the last group go the backend and every mapping.
  void Remove(Group& group);

  // What CHECK_EXTENSION says.
  long Extension(u64 extension) const;
  // EINVAL: no group, already set, or a value that only an extension has; ENODEV: no such type.
  Result<> SetIommu(u64 type);

 private:
  Result<> Attach(Group& group);

  Machine& machine_;
  std::map<unsigned, Group*> groups_;  // by id, so that they are attached in one order
  std::shared_ptr<Type1> type1_;
};

class ContainerFile final : public OpenFile {
 public:
  explicit ContainerFile(Machine& machine) : container_(std::make_shared<Container>(machine)) {}

  const std::shared_ptr<Container>& container() const { return container_; }
  std::string Name() const override { return "/dev/vfio/vfio"; }
  bool can_transfer() const override { return false; }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;

  // The rows of this file's table, for documentation checks.
  static std::vector<const char*> IoctlNames();

 private:
  Reply GetApiVersion(const uapi::IoctlCall& call);
  Reply CheckExtension(const uapi::IoctlCall& call);
  Reply SetIommu(const uapi::IoctlCall& call);
  Reply GetInfo(const uapi::IoctlCall& call) { return Backend()->GetInfo(call); }
  Reply MapDma(const uapi::IoctlCall& call) { return Backend()->MapDma(call); }
  Reply UnmapDma(const uapi::IoctlCall& call) { return Backend()->UnmapDma(call); }
  Reply DirtyPages(const uapi::IoctlCall& call) { return Backend()->DirtyPages(call); }

  std::shared_ptr<Type1> Backend() { return container_->type1(); }

  struct Tables;
  std::shared_ptr<Container> container_;
};

}  // namespace vfiolab::vfio
