// A device that is bound to "vfio", in the proposals of August 2011: of PCI, or not.
#pragma once
#include <memory>
#include <string>

#include "august/group.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::august {

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string name() const = 0;  // on its bus
  virtual bool is_pci() const = 0;
  // Whether it was reset when it was opened.
  virtual bool was_reset() const = 0;
  virtual void Reset() = 0;

  // Region n begins at n << kRegionShift of the device's file.
  virtual u32 regions() const = 0;
  virtual u64 RegionSize(u32 region) const = 0;  // 0 where there is none
  // Whether this client can map it; whether nobody can write it.
  virtual bool CanMap(CallContext& caller, u32 region) const = 0;
  virtual bool IsReadOnly(u32 region) const = 0;
  virtual Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset) = 0;
  virtual Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset) = 0;
  virtual Reply Load(std::span<std::byte> to, u64 offset) = 0;
  virtual Reply Store(std::span<const std::byte> from, u64 offset) = 0;
  virtual Result<u64> Mmap(CallContext& caller, const MmapRequest& request) = 0;
  virtual int shared_memory_fd() const = 0;

  virtual u32 irqs() const = 0;  // indexes
  virtual u32 IrqCount(u32 index) const = 0;
  virtual bool IsLevel(u32 index) const = 0;
  // `count` eventfds at `fds`; none: the interrupt is off. EINVAL: not so many.
  virtual Result<> SetEventfds(CallContext& caller, u32 index, u32 count, ClientAddress fds) = 0;
  // EINVAL: it is not masked when it comes.
  virtual Result<> Unmask(u32 index) = 0;

  // A file of the device, or of a region of it, comes or goes.
  void Open(Group& group);
  void Close(Group& group);

  // Null while it is in none. EBUSY: it is in one, or what Group::EnterDomain() says.
  const std::shared_ptr<uiommu::Domain>& domain() const { return domain_; }
  Result<> EnterDomain(Group& group, std::shared_ptr<uiommu::Domain> domain);
  void LeaveDomain(Group& group);

  // `done` runs, and this may be destroyed, with FinishGivingBack().
  void GiveBack(std::function<void()> done) { given_back_ = std::move(done); }
  bool wanted_back() const { return given_back_ != nullptr; }
  void FinishGivingBack();

 protected:
  // The first file has come, the last one has gone.
  virtual void OnOpen() = 0;
  virtual void OnClose() = 0;

 private:
  unsigned files_ = 0;
  std::shared_ptr<uiommu::Domain> domain_;
  std::function<void()> given_back_;
};

}  // namespace vfiolab::august
