#include "machine/machine.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace vfiolab {

void IommuGroup::Add(DeviceSlot& slot) {
  devices_.insert(std::ranges::upper_bound(devices_, slot.bdf(), {}, &DeviceSlot::bdf), &slot);
  slot.set_group(this);
}

void IommuGroup::Add(Bridge& bridge) {
  bridges_.push_back(bridge.bdf);
  bridge.group = this;
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

void Bridge::BuildConfig(bool multifunction) {
  config = BuildBridgeConfig({.kind = kind,
                              .ids = ids,
                              .acs = acs,
                              .multifunction = multifunction,
                              .primary = bdf.bus,
                              .secondary = secondary_bus,
                              .subordinate = subordinate_bus,
                              .slot = bdf.device},
                             windows);
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
  const auto [it, added] = bridges_.emplace(bdf, Bridge{bdf, secondary, subordinate});
  CHECK_OURS(added);
  bridges_by_bus_[{bdf.segment, secondary}] = &it->second;
  return it->second;
}

IommuGroup& Machine::AddGroup(unsigned id) {
  const auto [it, added] = groups_.try_emplace(id, id);
  CHECK_OURS(added);
  return it->second;
}

IommuGroup& Machine::AddNextGroup() {
  while (true) {
    const auto [it, added] = groups_.try_emplace(next_group_, next_group_);
    ++next_group_;
    if (it->second.size() == 0) return it->second;
  }
}

void Machine::Leave(DeviceSlot& slot) {
  IommuGroup& group = slot.group();
  group.Remove(slot);
  if (group.size() == 0) next_group_ = std::min(next_group_, group.id());
}

DeviceSlot* Machine::device(Bdf bdf) {
  const auto it = devices_.find(bdf);
  return it == devices_.end() ? nullptr : it->second.get();
}

PlatformSlot* Machine::platform_device(std::string_view name) {
  const auto it = platform_devices_.find(name);
  return it == platform_devices_.end() ? nullptr : it->second.get();
}

Bridge* Machine::BridgeTo(u16 segment, u8 bus) const {
  const auto it = bridges_by_bus_.find({segment, bus});
  return it == bridges_by_bus_.end() ? nullptr : it->second;
}

std::vector<BusFunction> Machine::FunctionsOn(u16 segment, u8 bus) {
  const Bdf first{segment, bus, 0, 0}, last{segment, bus, 31, 7};
  std::vector<BusFunction> functions;
  for (auto it = devices_.lower_bound(first); it != devices_.end() && it->first <= last; ++it)
    if (it->second->present()) functions.push_back({.slot = it->second.get()});
  for (auto it = bridges_.lower_bound(first); it != bridges_.end() && it->first <= last; ++it)
    functions.push_back({.bridge = &it->second});
  std::ranges::sort(functions, {}, &BusFunction::bdf);
  return functions;
}

std::optional<u8> Machine::BusBeside(u16 segment, u8 bus) const {
  const auto it = devices_.lower_bound({segment, bus, 0, 0});
  if (it == devices_.end() || it->first.segment != segment || it->first.bus != bus ||
      BridgeTo(segment, bus) != nullptr)
    return std::nullopt;
  const DeviceSlot* physical = it->second->physical_function();
  if (physical == nullptr || physical->bdf().bus == bus) return std::nullopt;
  return physical->bdf().bus;
}

void Machine::RecordFault(const std::string& device, const Fault& fault) {
  ++fault_count_;
  faults_.push_back({clock_.now(), device, fault});
  if (faults_.size() > kFaultsKept) faults_.pop_front();
  trace_.Output([&] { return faults_.back().ToString(); });
  if (fault_listener_) fault_listener_(faults_.back());
}

}  // namespace vfiolab
