// A device bound to vfio-pci and the files that open it (vfio_main.c, vfio_pci_core.c).
#pragma once
#include <memory>

#include "vfio/group.hpp"
#include "vfio/group_device.hpp"
#include "vfio/irqs.hpp"
#include "vfio/virtual_config.hpp"

namespace vfiolab::vfio {

using Uuid = std::array<std::byte, 16>;

class Device final : public GroupDevice, public ConfigEvents {
 public:
  explicit Device(DeviceSlot& slot) : slot_(slot) {}

  DeviceSlot& slot() { return slot_; }

  // SR-IOV: that of the physical function whose token a client has to know. Outlives this.
  void set_physical_function(Device* physical) { physical_ = physical; }
  // Whoever opens a virtual function shows that he knows the token of the physical one; whoever
  // opens the physical one sets it, or knows it if a virtual one is open. EACCES: he does not.
  // EINVAL: a token where there is none (vfio_pci_core.c vfio_pci_core_match_token_uuid).
  Result<> CheckToken(const std::optional<Uuid>& given);
  bool has_token() const { return slot_.has_sriov(); }
  void set_token(const Uuid& token) { token_ = token; }
  void Open();
  void Close();

  // Only while open.
  VirtualConfig& config() { return *config_; }
  Irqs& irqs() { return *irqs_; }

  // Whether the function could be reset on its own when it was opened.
  bool can_reset() const { return can_reset_; }
  // The device starts anew; eventfds and config space stay.
  void Reset() { slot_.ResetFunction(); }
  // Whether a region answers: memory does while the client's COMMAND says so.
  bool Decodes(u32 region) const;

  // The functions that a reset of its bus reaches, bridges and what is behind them, too; empty on a
  // root bus, which has no reset.
  std::vector<BusFunction> BusResetFunctions() const;

  // A write to a BAR that is made each time an eventfd is signalled.
  struct BarWrite {
    unsigned bar;
    u64 at;
    u64 data;
    unsigned width;
    auto operator<=>(const BarWrite&) const = default;
  };
  Result<> AddIoeventfd(const BarWrite& write, Eventfd eventfd);
  std::size_t ioeventfd_count() const { return ioeventfds_.size(); }
  bool HasIoeventfd(const BarWrite& write) const { return ioeventfds_.contains(write); }
  void RemoveIoeventfd(const BarWrite& write) { ioeventfds_.erase(write); }

  // A device in low power has no other effect than that it cannot enter it again: ours needs none.
  // `wakeup` is for a device that wakes by itself. False when it is there already.
  bool EnterLowPower(std::optional<Eventfd> wakeup);
  void LeaveLowPower();

  // Somebody maps a BAR: from now on, until the last file is closed, mappings reach the device
  // while its memory answers.
  void OnMapped();
  // To call when that may have changed.
  void UpdateMappings();
  // Whether they do: COMMAND lets memory answer, and the device is not in low power.
  bool mappings_answer() const { return config_->memory_enabled() && !low_power_; }

  // GroupDevice
  Result<bool> IsCalled(const std::string& name) override;
  std::shared_ptr<OpenFile> MakeFile(std::shared_ptr<GroupFile> group) override;

  // ConfigEvents
  void OnIntxDisableChanged(bool disabled) override { irqs_->OnIntxDisableChanged(disabled); }
  void OnFunctionLevelReset() override { Reset(); }
  std::optional<unsigned> MsiLog2Vectors() const override { return irqs_->msi_log2_vectors(); }

 private:
  void OnWantedBack() override { irqs_->RequestBack(); }

  DeviceSlot& slot_;
  Device* physical_ = nullptr;
  std::optional<Uuid> token_;  // of a physical function; until it is set nobody knows it
  unsigned open_virtual_functions_ = 0;
  bool can_reset_ = false;
  bool low_power_ = false;
  bool mapped_ = false;
  std::optional<Eventfd> wakeup_;
  std::optional<ConfigSpace> saved_;  // as it was before the first open
  std::unique_ptr<VirtualConfig> config_;
  std::unique_ptr<Irqs> irqs_;
  struct Ioeventfd {
    Eventfd eventfd;
    std::unique_ptr<EventfdWatch> watch;
  };
  std::map<BarWrite, Ioeventfd> ioeventfds_;
};

class DeviceFile final : public OpenFile {
 public:
  DeviceFile(Device& device, std::shared_ptr<GroupFile> group);
  ~DeviceFile() override;

  std::string Name() const override;
  bool has_node() const override { return false; }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset) override;
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset) override;
  Reply Load(CallContext& caller, std::span<std::byte> to, u64 offset) override;
  Reply Store(CallContext& caller, std::span<const std::byte> from, u64 offset) override;
  Result<u64> Mmap(CallContext& caller, const MmapRequest& request) override;
  SharedMemory shared_memory() const override {
    return {device_.slot().shared_memory_fd(), mapped_, device_.mappings_answer()};
  }

  static std::vector<const char*> IoctlNames();

 private:
  Reply GetInfo(const uapi::IoctlCall& call);
  Reply GetRegionInfo(const uapi::IoctlCall& call);
  Reply GetIrqInfo(const uapi::IoctlCall& call) { return device_.irqs().GetInfo(call); }
  Reply SetIrqs(const uapi::IoctlCall& call) { return device_.irqs().Set(call); }
  Reply Reset(const uapi::IoctlCall& call);
  Reply GetHotResetInfo(const uapi::IoctlCall& call);
  Reply HotReset(const uapi::IoctlCall& call);
  Reply SetIoeventfd(const uapi::IoctlCall& call);
  Reply Feature(const uapi::IoctlCall& call);
  Reply GetDmaBuf(const uapi::IoctlCall& call, u32 argsz);
  Reply SetToken(const uapi::IoctlCall& call, u32 argsz);
  Reply EnterLowPower(const uapi::IoctlCall& call, u32 argsz, bool with_wakeup);

  struct RegionFacts {
    u64 size = 0;
    u32 flags = 0;
    // Bytes that a client does not see: of the MSI-X table, or behind what a ROM holds.
    struct Range {
      u64 begin = 0, end = 0;
      bool Meets(u64 at, u64 count) const { return at < end && at + count > begin; }
    } hidden = {};
  };
  RegionFacts BarFacts(unsigned bar, const CallContext* caller) const;
  // Without a caller it is not said whether the region can be mapped.
  RegionFacts Facts(u32 region, const CallContext* caller = nullptr) const;
  // The part of [at, at + left) of a region that one bus access can take.
  struct Step {
    std::size_t length;
    bool hidden;
  };
  Step NextStep(u32 region, const RegionFacts& facts, u64 at, std::size_t left) const;
  // Moves bytes between the caller and access(region, at, part, hidden).
  template <class Byte, class Access>
  Reply InSteps(CallContext& caller, std::span<Byte> bytes, u64 offset, Access access);
  Reply ReadConfig(CallContext& caller, std::span<std::byte> to, std::size_t at);
  Reply WriteConfig(CallContext& caller, std::span<const std::byte> from, std::size_t at);
  // The parts of a processor's access, each through access(bar, at, part, whether the BAR is
  // there).
  template <class Byte, class Access>
  Reply OnBus(std::span<Byte> bytes, u64 offset, Access access);
  bool HasRegion(u32 region) const;
  Result<std::size_t> CheckRom(u64 at, std::size_t count) const;
  Result<> CheckConfig(u64 at, std::size_t count) const;
  // Checks that are the same for reads and writes; the number of bytes that may be moved.
  Result<std::size_t> CheckAccess(u32 region, u64 at, std::size_t count) const;

  struct Table;
  Device& device_;
  std::shared_ptr<GroupFile> group_;
  bool mapped_ = false;
};

}  // namespace vfiolab::vfio
