#include "august/device.hpp"

namespace vfiolab::august {

void Device::Open(Group& group) {
  if (files_++ == 0) OnOpen();
  group.AddFile();
}

void Device::Close(Group& group) {
  if (--files_ == 0) {
    OnClose();
    LeaveDomain(group);
  }
  group.RemoveFile();
}

Result<> Device::EnterDomain(Group& group, std::shared_ptr<uiommu::Domain> domain) {
  if (domain_ != nullptr) return Fail(EBUSY, "the device is in a uiommu");
  TRY(group.EnterDomain(domain));
  domain->Enter(nullptr);
  domain_ = std::move(domain);
  return {};
}

void Device::LeaveDomain(Group& group) {
  if (domain_ == nullptr) return;
  group.LeaveDomain();
  domain_->Leave();
  domain_.reset();
}

void Device::FinishGivingBack() {
  if (!given_back_) return;
  const auto done = std::move(given_back_);
  done();  // destroys this
}

}  // namespace vfiolab::august
