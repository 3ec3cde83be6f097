// A function that is bound to "vfio", in the proposals of August 2011.
#pragma once
#include <memory>

#include "august/group.hpp"
#include "early/function.hpp"
#include "early/regions.hpp"

namespace vfiolab::august {

class Device final {
 public:
  explicit Device(DeviceSlot& slot);

  DeviceSlot& slot() { return function_.slot(); }
  early::Function& function() { return function_; }
  early::Irqs& irqs() { return static_cast<early::Irqs&>(function_.interrupts()); }

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

 private:
  early::Function function_;
  std::shared_ptr<uiommu::Domain> domain_;
  std::function<void()> given_back_;
};

}  // namespace vfiolab::august
