// Who exists and how they are joined: the emulated machine.
#pragma once
#include <deque>
#include <map>

#include "base/trace.hpp"
#include "iommu/iommu.hpp"
#include "machine/iommu_group.hpp"
#include "machine/kernel.hpp"
#include "machine/pci_bus_type.hpp"
#include "machine/platform_bus_type.hpp"
#include "machine/polled_memory.hpp"
#include "pci/bridge_config.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab {

struct FaultRecord {
  Time when;
  std::string device;  // its name in sysfs
  Fault fault;
  std::string ToString() const;  // one line for a person
};

// A bridge: no client ever opens it, but tools see it.
struct Bridge {
  Bdf bdf;
  u8 secondary_bus;
  u8 subordinate_bus;
  BridgeKind kind = BridgeKind::kRootPort;
  BridgeIds ids = UsualIds(BridgeKind::kRootPort);
  std::optional<AcsBits> acs = {};  // nothing: it has no such capability
  BridgeWindows windows = {};
  ConfigSpace config{kExpressConfigSize};
  IommuGroup* group = nullptr;
  // Whether it says in time that its link is up again after a reset of the bus behind it.
  bool reports_link = true;

  // Builds config space from the above. `multifunction`: it is function 0, and there are others.
  void BuildConfig(bool multifunction);
};

// A device or a bridge: exactly one of the two is set.
struct BusFunction {
  DeviceSlot* slot = nullptr;
  Bridge* bridge = nullptr;

  bool operator==(const BusFunction&) const = default;
  Bdf bdf() const { return slot != nullptr ? slot->bdf() : bridge->bdf; }
  const ConfigSpace& config() const { return slot != nullptr ? slot->config() : bridge->config; }
  IommuGroup* group() const { return slot != nullptr ? slot->group_if_any() : bridge->group; }
};

class Machine {
 public:
  Machine(Environment& environment, Trace& trace, Iommu iommu, Kernel kernel = {})
      : environment_(environment), trace_(trace), iommu_(std::move(iommu)), kernel_(kernel) {
    parameters_.dma_entry_limit = static_cast<u32>(iommu_.mapping_limit);
  }

  Environment& environment() { return environment_; }
  Trace& trace() { return trace_; }
  Clock& clock() { return clock_; }
  const Clock& clock() const { return clock_; }
  const Iommu& iommu() const { return iommu_; }
  const Kernel& kernel() const { return kernel_; }
  ModuleParameters& parameters() { return parameters_; }
  PciBusType& pci_bus() { return pci_bus_; }
  const PciBusType& pci_bus() const { return pci_bus_; }
  PlatformBusType& platform_bus() { return platform_bus_; }
  const PlatformBusType& platform_bus() const { return platform_bus_; }

  // For the one who builds the machine. BDFs, names and group ids are unique. A driver that is not
  // vfio-pci, or vfio-platform, becomes one of the host.
  DeviceSlot& AddDevice(Bdf bdf, const Model& model, const Params& params, std::string driver);
  PlatformSlot& AddPlatformDevice(const std::string& name, const Model& model, const Params& params,
                                  std::string driver);
  Bridge& AddBridge(Bdf bdf, u8 secondary, u8 subordinate);
  IommuGroup& AddGroup(unsigned id);
  // With the lowest number that has no members.
  IommuGroup& AddNextGroup();
  // Whether groups follow from the hierarchy (group_rules.hpp), also those of functions that come
  // later; else each function keeps its own.
  bool derives_groups() const { return derives_groups_; }
  void set_derives_groups(bool derives) { derives_groups_ = derives; }
  // Takes a function out of its group.
  void Leave(DeviceSlot& slot);

  DeviceSlot* device(Bdf bdf);  // null when there is none
  const std::map<Bdf, std::unique_ptr<DeviceSlot>>& devices() const { return devices_; }
  PlatformSlot* platform_device(std::string_view name);  // null when there is none
  using PlatformDevices = std::map<std::string, std::unique_ptr<PlatformSlot>, std::less<>>;
  const PlatformDevices& platform_devices() const { return platform_devices_; }
  std::map<Bdf, Bridge>& bridges() { return bridges_; }
  const std::map<Bdf, Bridge>& bridges() const { return bridges_; }
  const std::map<unsigned, IommuGroup>& groups() const { return groups_; }
  std::map<unsigned, IommuGroup>& groups() { return groups_; }
  // The bridge whose secondary bus this is; null for a root bus.
  Bridge* BridgeTo(u16 segment, u8 bus) const;

  // What is on a bus now, by address.
  std::vector<BusFunction> FunctionsOn(u16 segment, u8 bus);
  // Of a bus that only virtual functions are on: that of their physical one, beside which it is.
  std::optional<u8> BusBeside(u16 segment, u8 bus) const;

  // The newest faults, oldest first; bounded, so `fault_count()` may be larger.
  const std::deque<FaultRecord>& faults() const { return faults_; }
  u64 fault_count() const { return fault_count_; }
  void RecordFault(const std::string& device, const Fault& fault);
  // Called when a client is about to unmap memory of its own, by transports that see it.
  using UnmapListener = std::function<void(CallContext& caller, ClientAddress from, u64 size)>;
  void set_unmap_listener(UnmapListener listener) { unmap_listener_ = std::move(listener); }
  bool hears_unmaps() const { return unmap_listener_ != nullptr; }
  void OnUnmap(CallContext& caller, ClientAddress from, u64 size) {
    if (unmap_listener_) unmap_listener_(caller, from, size);
  }
  // Asked whether the machine may sleep; `done` runs when that is known, perhaps at once. Nobody
  // needs to be told of the end of the sleep, as there is none.
  using SuspendListener = std::function<void(std::function<void(Result<>)> done)>;
  void set_suspend_listener(SuspendListener listener) { suspend_listener_ = std::move(listener); }
  const SuspendListener& suspend_listener() const { return suspend_listener_; }
  // Memory that is looked at. Devices hear of stores before anything else comes through the Door.
  void AddPolled(PolledMemory& memory) { polled_.push_back(&memory); }
  void RemovePolled(PolledMemory& memory) { std::erase(polled_, &memory); }
  void HearStores() {
    for (PolledMemory* memory : polled_)
      if (memory->HasChanged()) memory->Hear();
  }
  // Called for each fault as it happens.
  void set_fault_listener(std::function<void(const FaultRecord&)> listener) {
    fault_listener_ = std::move(listener);
  }

 private:
  static constexpr std::size_t kFaultsKept = 1024;

  Environment& environment_;
  Trace& trace_;
  Clock clock_;
  Iommu iommu_;
  Kernel kernel_;
  ModuleParameters parameters_;
  PciBusType pci_bus_{*this};
  PlatformBusType platform_bus_{*this};
  std::map<unsigned, IommuGroup> groups_;
  bool derives_groups_ = false;
  unsigned next_group_ = 0;  // none below has no members
  std::map<Bdf, Bridge> bridges_;
  std::map<std::pair<u16, u8>, Bridge*> bridges_by_bus_;  // by segment and secondary bus
  std::deque<FaultRecord> faults_;
  u64 fault_count_ = 0;
  std::function<void(const FaultRecord&)> fault_listener_;
  UnmapListener unmap_listener_;
  SuspendListener suspend_listener_;
  std::vector<PolledMemory*> polled_;
  // These go first: slots cancel timers.
  PlatformDevices platform_devices_;
  std::map<Bdf, std::unique_ptr<DeviceSlot>> devices_;
};

}  // namespace vfiolab
