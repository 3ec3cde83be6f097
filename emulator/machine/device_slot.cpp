#include "machine/device_slot.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>

#include "device/msix_table.hpp"
#include "machine/machine.hpp"
#include "pci/function_reset.hpp"

namespace vfiolab {

namespace {

// Where firmware copies the ROM of a VGA controller to, whether it has one or not
// (arch/x86/pci/fixup.c).
constexpr RomLayout kShadowRom{0xc0000, 128_KiB};

}  // namespace

DeviceSlot::DeviceSlot(Machine& machine, Bdf bdf, const Model& model, const Params& params,
                       std::string driver)
    : services_(machine, bdf.ToString()),
      bdf_(bdf),
      model_(model),
      driver_(std::move(driver)),
      maker_(driver_) {
  device_ = model.create(model, *this, params);
  WatchBars();
  SetMemoryReachable(true);
}

void DeviceSlot::set_rom(std::vector<std::byte> bytes) {
  constexpr std::size_t kSmallestBar = 2_KiB;
  rom_ = std::move(bytes);
  rom_.resize(std::max(kSmallestBar, std::bit_ceil(rom_.size())), std::byte{0xff});
}

void DeviceSlot::set_physical_function(DeviceSlot& physical) {
  physical_function_ = &physical;
  physical.virtual_functions_.push_back(this);
}

void DeviceSlot::PlaceRom(u32 address) {
  rom_layout_ = RomLayout{address, static_cast<u32>(rom_.size())};
  AddRom(config_, *rom_layout_);
}

void DeviceSlot::PlaceBars(const BarLayouts& placed, bool multifunction) {
  bars_ = placed;
  config_ = device_->image().empty()
                ? BuildConfig(multifunction)
                : BuildReplicaConfig(device_->image().bytes(), device_->image().writable(), bars_,
                                     multifunction);
  if (device_->identity().is_vga() && rom_.empty()) rom_layout_ = kShadowRom;
  if (physical_function_ == nullptr) return;
  const auto& writable = device_->image().writable();
  BecomeVirtualFunction(
      config_,
      writable.empty()
          ? kVirtualFunctionCommand
          : static_cast<u32>(LoadLittleEndian(std::span{writable}.subspan(PCI_COMMAND, 2))));
}

ConfigSpace DeviceSlot::BuildConfig(bool multifunction) const {
  const PciIdentity& id = device_->identity();
  return BuildFunctionConfig({.vendor_id = id.vendor_id,
                              .device_id = id.device_id,
                              .subsystem_vendor_id = id.subsystem_vendor_id,
                              .subsystem_id = id.subsystem_id,
                              .revision = id.revision,
                              .class_code = id.class_code,
                              .interrupt_pin = id.interrupt_pin,
                              .msi_vectors = id.msi_vectors,
                              .msix_vectors = id.msix_vectors,
                              .msix_bar = id.msix_bar,
                              .msix_pba_offset = MsixTable::PbaOffset(id.msix_vectors),
                              .express = id.express,
                              .on_root_bus = machine().BridgeTo(bdf_.segment, bdf_.bus) == nullptr,
                              .acs = acs_,
                              .multifunction = multifunction},
                             bars_);
}

void DeviceSlot::WriteConfig(std::size_t at, std::span<const std::byte> from) {
  config_.Write(at, from);
  const bool touches_command = at < PCI_COMMAND + 2 && at + from.size() > PCI_COMMAND;
  if (touches_command && sink_ != nullptr && intx_asserted_) sink_->OnIntx(true);
}

void DeviceSlot::ReadBar(unsigned bar, Offset at, std::span<std::byte> to) {
  const PciDevice::Bar& read = *device_->bar(bar);
  services_.Read(*read.handler, {"BAR", bar}, read.spec.Takes(at, to.size()), at, to);
}

void DeviceSlot::WriteBar(unsigned bar, Offset at, std::span<const std::byte> from) {
  if (device_->bar(bar)->spec.Takes(at, from.size())) device_->bar(bar)->handler->Write(at, from);
  machine().HearStores();
}

// drivers/pci/pci.c pci_reset_fn_methods.
std::string DeviceSlot::ResetsBeside(const std::function<bool(Bdf)>& is_there) const {
  std::string methods = FunctionResets(config_);
  if (machine().BridgeTo(bdf_.segment, bdf_.bus) == nullptr) return methods;
  const auto beside = [&](Bdf other) {
    return other != bdf_ && other.segment == bdf_.segment && other.bus == bdf_.bus &&
           is_there(other);
  };
  const bool alone = std::ranges::none_of(machine().devices(),
                                          [&](const auto& entry) {
                                            return beside(entry.first) && entry.second->present();
                                          }) &&
                     std::ranges::none_of(machine().bridges(),
                                          [&](const auto& entry) { return beside(entry.first); });
  if (alone) methods += methods.empty() ? "bus" : " bus";
  return methods;
}

std::string DeviceSlot::AvailableResets() const {
  return ResetsBeside([](Bdf) { return true; });
}

std::string DeviceSlot::FoundResets() const {
  return found_resets_.value_or(ResetsBeside([&](Bdf other) { return other < bdf_; }));
}

bool DeviceSlot::CanReset() const {
  const std::string methods = Resets();
  // The function's own ways always work.
  return !methods.empty() &&
         (methods != "bus" || (AvailableResets().ends_with("bus") && BusReturns()));
}

// drivers/pci/pci.c pci_bridge_wait_for_secondary_bus: without a device that wants time, which is
// one that knows power states, nobody waits for the link.
bool DeviceSlot::BusReturns() const {
  const Bridge* bridge = machine().BridgeTo(bdf_.segment, bdf_.bus);
  if (bridge == nullptr || bridge->reports_link) return true;
  return std::ranges::none_of(machine().devices(), [&](const auto& entry) {
    const auto& [bdf, slot] = entry;
    return bdf.segment == bdf_.segment && bdf.bus == bdf_.bus && slot->present() &&
           slot->config_.FindCapability(PCI_CAP_ID_PM) != 0;
  });
}

void DeviceSlot::set_present(bool present) {
  present_ = present;
  if (!present) return;
  found_resets_ = AvailableResets();
  chosen_resets_.reset();
}

void DeviceSlot::ResetFunction() {
  SetIntx(false);
  if (device_->hears_reset()) {
    services_.CancelTimers();
    device_->Reset();
    services_.ForgetStores();
  }
  if (const u8 at = config_.FindCapability(PCI_CAP_ID_PM))
    config_.SetBits(at + PCI_PM_CTRL, 2, PCI_PM_CTRL_STATE_MASK, false);
  if (on_reset_) on_reset_();
}

// A client that clears the bit in config space has switched its interrupts off.
bool DeviceSlot::MsiEnabled() const {
  const u8 msi = config_.FindCapability(PCI_CAP_ID_MSI);
  const u8 msix = config_.FindCapability(PCI_CAP_ID_MSIX);
  return (msi != 0 && (config_.Get(msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE)) ||
         (msix != 0 && (config_.Get(msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE));
}

void DeviceSlot::SetMsi(MsiState state) {
  if (const u8 at = config_.FindCapability(PCI_CAP_ID_MSI))
    config_.SetBits(at + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE, state == MsiState::kMsi);
  if (const u8 at = config_.FindCapability(PCI_CAP_ID_MSIX))
    config_.SetBits(at + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE, state == MsiState::kMsix);
}

HostServices::Blocked DeviceSlot::Blocked() const {
  if (config_.Get(PCI_COMMAND, 2) & PCI_COMMAND_MASTER) return std::nullopt;
  return FaultReason::kBusMasterDisabled;
}

void DeviceSlot::SignalMsi(unsigned vector) {
  if (!MsiEnabled() || sink_ == nullptr) return;
  if (!(config_.Get(PCI_COMMAND, 2) & PCI_COMMAND_MASTER)) return;  // a message is a write, too
  machine().trace().Output(
      [&] { return fmt::format("msi {} vector {}", bdf_.ToString(), vector); });
  sink_->OnMsi(vector);
}

void DeviceSlot::SetIntx(bool asserted) {
  if (asserted == intx_asserted_) return;
  intx_asserted_ = asserted;
  config_.SetBits(PCI_STATUS, 2, PCI_STATUS_INTERRUPT, asserted);
  machine().trace().Output(
      [&] { return fmt::format("intx {} {}", bdf_.ToString(), asserted ? "raised" : "lowered"); });
  if (sink_ != nullptr) sink_->OnIntx(asserted);
}

void DeviceSlot::WatchBars() {
  for (unsigned i = 0; i < PCI_STD_NUM_BARS; ++i) {
    const auto* bar = device_->bar(i);
    if (bar == nullptr) continue;
    if (bar->spec.mapping == BarMapping::kTrap) services_.TrapRegion(i, bar->spec.size);
    if (bar->spec.mapping == BarMapping::kPoll) services_.PollRegion(*bar->handler, {"BAR", i});
  }
}

}  // namespace vfiolab
