#include "machine/platform_slot.hpp"

#include <fmt/format.h>

#include "machine/machine.hpp"

namespace vfiolab {

PlatformSlot::PlatformSlot(Machine& machine, std::string name, const Model& model,
                           const Params& params, std::string driver)
    : services_(machine, std::move(name)), model_(model), driver_(std::move(driver)) {
  device_ = model.create_platform(*this, params);
  asserted_.resize(device_->identity().irqs.size());
  const auto& regions = device_->regions();
  for (unsigned i = 0; i < regions.size(); ++i) {
    const auto& [spec, handler] = regions[i];
    if (spec.mapping == BarMapping::kTrap) services_.TrapRegion(i, spec.size);
    if (spec.mapping == BarMapping::kPoll) services_.PollRegion(*handler, {"region ", i});
  }
  services_.SetMemoryReachable(true);
}

void PlatformSlot::ReadRegion(unsigned region, Offset at, std::span<std::byte> to) {
  const PlatformDevice::Region& read = device_->regions()[region];
  services_.Read(*read.handler, {"region ", region}, read.spec.Takes(at, to.size()), at, to);
}

void PlatformSlot::WriteRegion(unsigned region, Offset at, std::span<const std::byte> from) {
  const PlatformDevice::Region& written = device_->regions()[region];
  if (written.spec.Takes(at, from.size())) written.handler->Write(at, from);
  machine().HearStores();
}

void PlatformSlot::Reset() {
  for (unsigned irq = 0; irq < asserted_.size(); ++irq)
    if (asserted_[irq]) SetIrq(irq, false);
  services_.CancelTimers();
  device_->Reset();
  services_.ForgetStores();
}

void PlatformSlot::SetIrq(unsigned irq, bool asserted) {
  CHECK_OURS(device_->identity().irqs.at(irq) == IrqTrigger::kLevel);
  if (asserted == asserted_[irq]) return;
  asserted_[irq] = asserted;
  machine().trace().Output(
      [&] { return fmt::format("irq {} {} {}", name(), irq, asserted ? "raised" : "lowered"); });
  if (sink_ != nullptr) sink_->OnLevel(irq, asserted);
}

void PlatformSlot::PulseIrq(unsigned irq) {
  CHECK_OURS(device_->identity().irqs.at(irq) == IrqTrigger::kEdge);
  machine().trace().Output([&] { return fmt::format("irq {} {} pulsed", name(), irq); });
  if (sink_ != nullptr) sink_->OnEdge(irq);
}

}  // namespace vfiolab
