// Where a PCI device sits: its config space, its gate to the bus and its interrupts.
#pragma once
#include <linux/pci_regs.h>

#include <memory>
#include <string>

#include "device/pci_device.hpp"
#include "machine/host_services.hpp"
#include "pci/bdf.hpp"
#include "pci/function_config.hpp"

namespace vfiolab {

// Whoever has taken the interrupts of a function.
class InterruptSink {
 public:
  virtual ~InterruptSink() = default;
  virtual void OnMsi(unsigned vector) = 0;
  virtual void OnIntx(bool asserted) = 0;
};

enum class MsiState { kDisabled, kMsi, kMsix };

class DeviceSlot final : public DeviceHost {
 public:
  // `driver` is what is bound to the function: "vfio-pci", a host driver, or "" for none.
  DeviceSlot(Machine& machine, Bdf bdf, const Model& model, const Params& params,
             std::string driver);

  Bdf bdf() const { return bdf_; }
  const Model& model() const { return model_; }
  const std::string& driver() const { return driver_; }
  void set_driver(std::string name) { driver_ = std::move(name); }
  // Whether it is on the bus; false after somebody has taken it off.
  bool present() const { return present_; }
  void set_present(bool present);
  // The only driver that may have the function; nothing: whichever knows it.
  const std::optional<std::string>& driver_override() const { return driver_override_; }
  void set_driver_override(std::optional<std::string> name) { driver_override_ = std::move(name); }
  PciDevice& device() { return *device_; }
  const PciDevice& device() const { return *device_; }
  Machine& machine() { return services_.machine(); }
  const Machine& machine() const { return services_.machine(); }
  IommuGroup& group() { return services_.group(); }
  // Null before it is known.
  IommuGroup* group_if_any() const { return services_.group_if_any(); }
  void set_group(IommuGroup* group) { services_.set_group(group); }
  // Where its DMA goes, if not where that of its group does.
  void set_ioas(std::shared_ptr<Ioas> ioas) { services_.set_ioas(std::move(ioas)); }

  // Config space as the hardware has it.
  ConfigSpace& config() { return config_; }
  const ConfigSpace& config() const { return config_; }
  // Stores what the hardware lets be stored and acts on it (bus mastering, INTx disable).
  void WriteConfig(std::size_t at, std::span<const std::byte> from);
  const BarLayouts& bars() const { return bars_; }
  // Functions on its bus whose requester id its DMA may have, too.
  const std::vector<Bdf>& dma_aliases() const { return dma_aliases_; }
  void set_dma_aliases(std::vector<Bdf> aliases) { dma_aliases_ = std::move(aliases); }
  void set_owns_page(unsigned bar, bool owns) { bars_[bar]->owns_page = owns; }
  // What it can do of access control, if it says so; before PlaceBars(). Of models that are express
  // and not made from a dump.
  void set_acs(std::optional<AcsBits> acs) { acs_ = acs; }
  // Gives BARs their addresses and builds config space; once, before use.
  void PlaceBars(const BarLayouts& placed, bool multifunction);

  // The bytes of the expansion ROM, as many as its BAR has; empty when there is none.
  std::span<const std::byte> rom() const { return rom_; }
  const std::optional<RomLayout>& rom_layout() const { return rom_layout_; }
  // Both before PlaceBars() and PlaceRom(): `bytes` are filled up to the size of a BAR.
  void set_rom(std::vector<std::byte> bytes);
  void PlaceRom(u32 address);

  // How the function can be reset on its own, in the order in which the kernel would try: words as
  // in sysfs. A reset of its bus needs a bus without others.
  std::string AvailableResets() const;
  // The same as the kernel found it when it found the function: at first, in the order of
  // addresses, those behind it on its bus were not there yet.
  std::string FoundResets() const;
  // What is tried: all that was found, unless somebody has chosen.
  std::string Resets() const { return chosen_resets_.value_or(FoundResets()); }
  // Whether one of them works.
  bool CanReset() const;
  // Whether a reset of the bus succeeds: the bridge says in time that its link is up again.
  bool BusReturns() const;
  void ChooseResets(std::optional<std::string> methods) { chosen_resets_ = std::move(methods); }

  // SR-IOV: whose virtual function this is, or null; and the other way round.
  DeviceSlot* physical_function() const { return physical_function_; }
  const std::vector<DeviceSlot*>& virtual_functions() const { return virtual_functions_; }
  // The driver that has made those that are there: at first, the one that it has at first.
  const std::string& virtual_functions_maker() const { return maker_; }
  void set_virtual_functions_maker(std::string driver) { maker_ = std::move(driver); }
  // Whether it could have virtual functions at all.
  bool has_sriov() const { return config_.FindExtendedCapability(PCI_EXT_CAP_ID_SRIOV) != 0; }
  void set_physical_function(DeviceSlot& physical);  // before PlaceBars()

  // Accesses of 1, 2, 4 or 8 bytes, naturally aligned, inside a BAR that exists.
  void ReadBar(unsigned bar, Offset at, std::span<std::byte> to);
  void WriteBar(unsigned bar, Offset at, std::span<const std::byte> from);
  // The file that backs BARs that can be mapped; -1 when there is none.
  int shared_memory_fd() const { return services_.shared_memory_fd(); }
  // From now on BAR n begins at n << shift of that file. Nobody has it mapped.
  void SetRegionShift(unsigned shift) { services_.SetRegionShift(shift); }
  // Whether mappings of its BARs reach them (DeviceMemory::SetReachable).
  void SetMemoryReachable(bool reachable) { services_.SetMemoryReachable(reachable); }

  // Function-level reset of the device, which ends in D0. Else config space stays: whoever resets a
  // function on a Linux host saves it before and restores it after.
  void ResetFunction();

  // Called after each reset of the function; null: nobody.
  void set_reset_listener(std::function<void()> listener) { on_reset_ = std::move(listener); }

  void set_interrupt_sink(InterruptSink* sink) { sink_ = sink; }
  void SetMsi(MsiState state);
  bool intx_asserted() const { return intx_asserted_; }

  // DeviceHost
  Result<Success, DmaFault> DmaRead(Iova from, std::span<std::byte> to) override {
    return services_.DmaRead(from, to, Blocked());
  }
  Result<Success, DmaFault> DmaWrite(Iova to, std::span<const std::byte> from) override {
    return services_.DmaWrite(to, from, Blocked());
  }
  void SignalMsi(unsigned vector) override;
  bool MsiEnabled() const override;
  void SetIntx(bool asserted) override;
  void After(std::chrono::nanoseconds delay, std::function<void()> due) override {
    services_.After(delay, std::move(due));
  }
  void GuestError(std::string_view what) override { services_.GuestError(what); }
  std::span<std::byte> AllocateRegionMemory(unsigned bar, u64 size) override {
    return services_.AllocateRegionMemory(bar, size);
  }

 private:
  void WatchBars();
  ConfigSpace BuildConfig(bool multifunction) const;
  // A function that may not master the bus makes no DMA.
  HostServices::Blocked Blocked() const;

  HostServices services_;  // goes last: the device's memory is there
  Bdf bdf_;
  const Model& model_;
  std::string driver_;
  std::optional<std::string> driver_override_;
  std::unique_ptr<PciDevice> device_;
  BarLayouts bars_;
  std::vector<Bdf> dma_aliases_;
  std::optional<AcsBits> acs_;
  std::vector<std::byte> rom_;
  std::optional<RomLayout> rom_layout_;
  DeviceSlot* physical_function_ = nullptr;
  std::vector<DeviceSlot*> virtual_functions_;
  std::string maker_;
  ConfigSpace config_{kConventionalConfigSize};
  InterruptSink* sink_ = nullptr;
  std::function<void()> on_reset_;
  bool intx_asserted_ = false;
  bool present_ = true;
  std::string ResetsBeside(const std::function<bool(Bdf)>& is_there) const;

  std::optional<std::string> found_resets_;  // when it was found again
  std::optional<std::string> chosen_resets_;
};

}  // namespace vfiolab
