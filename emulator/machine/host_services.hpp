// What a machine does for a device of any kind: DMA, timers, memory that clients may map, and what
// is written down of it.
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/clock.hpp"
#include "device/bar.hpp"
#include "device/host.hpp"
#include "iommu/ioas.hpp"
#include "machine/environment.hpp"
#include "machine/polled_memory.hpp"

namespace vfiolab {

class IommuGroup;
class Machine;

// Region n of a device begins at n << kRegionShift, in its file offsets (vfio_pci_core.h
// VFIO_PCI_OFFSET_SHIFT, vfio_platform_private.h VFIO_PLATFORM_OFFSET_SHIFT) and so in its shared
// memory; other interfaces have other shifts.
inline constexpr unsigned kRegionShift = 40;
inline constexpr u64 kRegionOffsetMask = (u64{1} << kRegionShift) - 1;

// How the trace calls a region: "BAR", 0.
struct RegionName {
  std::string_view kind;
  unsigned index;
};

class HostServices {
 public:
  // `name` is what the trace and faults call the device.
  HostServices(Machine& machine, std::string name) : machine_(machine), name_(std::move(name)) {}
  ~HostServices() { CancelTimers(); }

  Machine& machine() { return machine_; }
  const Machine& machine() const { return machine_; }
  const std::string& name() const { return name_; }
  IommuGroup& group() { return *group_; }
  IommuGroup* group_if_any() const { return group_; }
  void set_group(IommuGroup* group) { group_ = group; }
  // Where the DMA goes, if not where that of the group does.
  void set_ioas(std::shared_ptr<Ioas> ioas) { own_ioas_ = std::move(ioas); }

  // `blocked`: why no DMA leaves the device.
  using Blocked = std::optional<FaultReason>;
  Result<Success, DmaFault> DmaRead(Iova from, std::span<std::byte> to, Blocked blocked = {});
  Result<Success, DmaFault> DmaWrite(Iova to, std::span<const std::byte> from,
                                     Blocked blocked = {});

  void After(std::chrono::nanoseconds delay, std::function<void()> due);
  void CancelTimers();
  void GuestError(std::string_view what);

  // A bus's access to a region: 1, 2, 4 or 8 bytes, naturally aligned, inside. `taken`: the region
  // takes this width there.
  void Read(BarHandler& region, RegionName name, bool taken, Offset at, std::span<std::byte> to);

  std::span<std::byte> AllocateRegionMemory(unsigned region, u64 size);
  // That each access of a client's mapping is seen.
  void TrapRegion(unsigned region, u64 size);
  // That the device hears of stores to clients' mappings of its memory.
  void PollRegion(BarHandler& region, RegionName name);
  // What clients have stored so far is of no interest: the device was reset.
  void ForgetStores();
  // The file that backs regions that can be mapped; -1 when there is none.
  int shared_memory_fd() const { return memory_ ? memory_->fd() : -1; }
  // From now on region n begins at n << shift of that file. Nobody has it mapped.
  void SetRegionShift(unsigned shift);
  // Whether mappings of regions reach them (DeviceMemory::SetReachable).
  void SetMemoryReachable(bool reachable);

 private:
  DeviceMemory& Memory();
  Result<std::shared_ptr<Ioas>, Fault> OpenGate(Blocked blocked, Access access, Iova at,
                                                u64 length) const;
  Failure<DmaFault> Stop(const Fault& fault);

  Machine& machine_;
  std::string name_;
  IommuGroup* group_ = nullptr;
  std::shared_ptr<Ioas> own_ioas_;
  std::unique_ptr<DeviceMemory> memory_;
  unsigned region_shift_ = kRegionShift;
  std::set<TimerId> timers_;
  std::vector<std::unique_ptr<PolledMemory>> polled_;
};

}  // namespace vfiolab
