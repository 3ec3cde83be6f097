#include "machine/machine.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace vfiolab {

void IommuGroup::Add(DeviceSlot& slot) {
  devices_.insert(std::ranges::upper_bound(devices_, slot.bdf(), {}, &DeviceSlot::bdf), &slot);
  slot.set_group(*this);
}

void IommuGroup::Add(PlatformSlot& slot) {
  platform_devices_.insert(
      std::ranges::upper_bound(platform_devices_, slot.name(), {}, &PlatformSlot::name), &slot);
  slot.set_group(*this);
}

bool IommuGroup::DmaUnclaimed() const {
  return std::ranges::all_of(devices_,
                             [](const DeviceSlot* slot) {
                               return slot->machine().pci_bus().ManagesDma(slot->driver());
                             }) &&
         std::ranges::all_of(platform_devices_, [](PlatformSlot* slot) {
           return slot->machine().platform_bus().ManagesDma(slot->driver());
         });
}

std::string FaultRecord::ToString() const {
  return fmt::format("DMA fault: {} {} of {} bytes stopped at iova {:#x}: {}", device,
                     fault.access == Access::kRead ? "read" : "write", fault.length, Raw(fault.at),
                     Text(fault.reason));
}

DeviceSlot& Machine::AddDevice(Bdf bdf, const Model& model, const Params& params,
                               std::string driver) {
  auto& slot = devices_[bdf];
  CHECK_OURS(slot == nullptr);
  slot = std::make_unique<DeviceSlot>(*this, bdf, model, params, driver);
  if (!driver.empty() && driver != kVfioPci) pci_bus_.RegisterHostDriver(driver, *slot);
  // How else would a driver have come to it that has no ids of its own?
  if (driver == kVfioPci || driver == kPciStub) slot->set_driver_override(driver);
  return *slot;
}

PlatformSlot& Machine::AddPlatformDevice(const std::string& name, const Model& model,
                                         const Params& params, std::string driver) {
  auto& slot = platform_devices_[name];
  CHECK_OURS(slot == nullptr);
  slot = std::make_unique<PlatformSlot>(*this, name, model, params, driver);
  if (driver == kVfioPlatform || (driver == kEarlyVfio && !kernel_.has_vfio()))
    slot->set_driver_override(driver);  // nothing else makes it match
  else if (!driver.empty())
    platform_bus_.RegisterHostDriver(driver, *slot);
  return *slot;
}

Bridge& Machine::AddBridge(Bdf bdf, u8 secondary, u8 subordinate) {
  const auto [it, added] = bridges_.emplace(bdf, Bridge{bdf, secondary, subordinate, {}});
  CHECK_OURS(added);
  return it->second;
}

IommuGroup& Machine::AddGroup(unsigned id) {
  const auto [it, added] = groups_.try_emplace(id, id);
  CHECK_OURS(added);
  return it->second;
}

DeviceSlot* Machine::device(Bdf bdf) {
  const auto it = devices_.find(bdf);
  return it == devices_.end() ? nullptr : it->second.get();
}

PlatformSlot* Machine::platform_device(std::string_view name) {
  const auto it = platform_devices_.find(name);
  return it == platform_devices_.end() ? nullptr : it->second.get();
}

const Bridge* Machine::BridgeTo(u16 segment, u8 bus) const {
  for (const auto& [bdf, bridge] : bridges_)
    if (bdf.segment == segment && bridge.secondary_bus == bus) return &bridge;
  return nullptr;
}

void Machine::RecordFault(const std::string& device, const Fault& fault) {
  ++fault_count_;
  faults_.push_back({clock_.now(), device, fault});
  if (faults_.size() > kFaultsKept) faults_.pop_front();
  trace_.Output([&] { return faults_.back().ToString(); });
  if (fault_listener_) fault_listener_(faults_.back());
}

}  // namespace vfiolab
