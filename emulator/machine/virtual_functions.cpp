// How virtual functions come and go (drivers/pci/iov.c).
#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>

#include "machine/machine.hpp"

namespace vfiolab {
namespace {

void ShowInConfig(DeviceSlot& physical, unsigned count) {
  ConfigSpace& config = physical.config();
  const u16 at = config.FindExtendedCapability(PCI_EXT_CAP_ID_SRIOV);
  config.Set(at + PCI_SRIOV_NUM_VF, 2, count);
  config.SetBits(at + PCI_SRIOV_CTRL, 2, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE, count > 0);
}

}  // namespace

unsigned PciBusType::CountVirtualFunctions(const DeviceSlot& physical) const {
  return static_cast<unsigned>(std::ranges::count_if(
      physical.virtual_functions(), [](const DeviceSlot* slot) { return slot->present(); }));
}

void PciBusType::SetVirtualFunctions(DeviceSlot& physical, unsigned count,
                                     std::function<void(Result<>)> done) {
  // Whoever changes the function, or takes its driver away, has it locked.
  for (Waiting* changes : {&changing_, &leaving_})
    if (const auto change = changes->find(&physical); change != changes->end())
      return change->second.push_back([this, &physical, count, done = std::move(done)] {
        SetVirtualFunctions(physical, count, done);
      });
  const unsigned there = CountVirtualFunctions(physical);
  if (count == there) return done({});
  const auto entry = drivers_.find(physical.driver());
  const Driver* driver = entry == drivers_.end() ? nullptr : entry->second.driver.get();
  const bool can = driver != nullptr && driver->can_make_virtual_functions();
  if (can && count > 0 && there > 0)
    return done(Fail(EBUSY, fmt::format("there are {} already", there)));
  if (!can || !driver->makes_virtual_functions())
    return done(
        Fail(ENOENT, fmt::format("the driver '{}' makes no virtual functions", physical.driver())));
  if (count == 0) return TakeVirtualFunctions(physical, [done = std::move(done)] { done({}); });
  if (const auto most = physical.virtual_functions().size(); count > most)
    return done(Fail(ENOMEM, fmt::format("{}: the topology describes {}", count, most)));
  AddVirtualFunctions(physical, count);
  done({});
}

void PciBusType::AddVirtualFunctions(DeviceSlot& physical, unsigned count) {
  ShowInConfig(physical, count);
  physical.set_virtual_functions_maker(physical.driver());
  for (unsigned i = 0; i < count; ++i) FindAgain(*physical.virtual_functions()[i]);
}

void PciBusType::TakeVirtualFunctions(DeviceSlot& physical, std::function<void()> done) {
  if (physical.virtual_functions().empty()) return done();
  if (const auto change = changing_.find(&physical); change != changing_.end())
    return change->second.push_back(
        [this, &physical, done = std::move(done)] { TakeVirtualFunctions(physical, done); });
  changing_[&physical];
  TakeVirtualFunction(physical, 0, std::move(done));
}

// One after the other, each as soon as nobody uses the one before.
void PciBusType::TakeVirtualFunction(DeviceSlot& physical, std::size_t index,
                                     std::function<void()> done) {
  const auto& virtuals = physical.virtual_functions();
  while (index < virtuals.size() && !virtuals[index]->present()) ++index;
  if (index < virtuals.size()) {
    for (const auto& listener : listeners_) listener->OnVirtualFunction(*virtuals[index], false);
    return Remove(*virtuals[index], [this, &physical, index, done = std::move(done)] {
      physical.virtual_functions()[index]->ResetFunction();
      TakeVirtualFunction(physical, index + 1, done);
    });
  }
  ShowInConfig(physical, 0);
  const auto change = changing_.extract(&physical);
  done();
  for (const auto& next : change.mapped()) next();
}

}  // namespace vfiolab
