// A function that is bound to "vfio", and the files by which clients reach it (drivers/vfio/pci of
// 2011 and 2012).
#pragma once
#include <memory>
#include <optional>

#include "early/function.hpp"
#include "early/regions.hpp"
#include "merge/group.hpp"
#include "merge/structs.hpp"
#include "vfio/irqs.hpp"

namespace vfiolab::merge {

// B3 sets interrupts as it is done today.
class SettableIrqs final : public early::Interrupts {
 public:
  SettableIrqs(DeviceSlot& slot, std::function<bool()> intx_disabled)
      : irqs_(slot, slot.config().Get(PCI_INTERRUPT_PIN, 1) != 0, std::move(intx_disabled), kIrqs) {
  }
  vfio::Irqs& operator*() { return irqs_; }
  void OnIntxDisable(bool disabled) override { irqs_.OnIntxDisableChanged(disabled); }
  std::optional<unsigned> msi_log2_vectors() const override { return irqs_.msi_log2_vectors(); }

 private:
  vfio::Irqs irqs_;
};

class Device final {
 public:
  Device(DeviceSlot& slot, const Revision& revision);

  DeviceSlot& slot() { return function_.slot(); }
  early::Function& function() { return function_; }
  // While it is open: of B0 to B2, and of B3.
  early::Irqs& irqs() { return static_cast<early::Irqs&>(function_.interrupts()); }
  vfio::Irqs& settable_irqs() { return *static_cast<SettableIrqs&>(function_.interrupts()); }

  // `done` runs, and this may be destroyed, with FinishGivingBack().
  void GiveBack(std::function<void()> done) { given_back_ = std::move(done); }
  bool wanted_back() const { return given_back_ != nullptr; }
  void FinishGivingBack();

 private:
  early::Function function_;
  std::function<void()> given_back_;
};

class DeviceFile final : public OpenFile {
 public:
  // `group` is the one that `device` is in.
  DeviceFile(Device& device, Group& group);
  ~DeviceFile() override;

  std::string Name() const override {
    return "[vfio-device " + device_.slot().bdf().ToString() + "]";
  }
  bool has_node() const override { return false; }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset) override {
    return regions_.Read(caller, to, offset);
  }
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset) override {
    return regions_.Write(caller, from, offset);
  }
  Reply Load(CallContext&, std::span<std::byte> to, u64 offset) override {
    return regions_.Load(to, offset);
  }
  Reply Store(CallContext&, std::span<const std::byte> from, u64 offset) override {
    return regions_.Store(from, offset);
  }
  Result<u64> Mmap(CallContext& caller, const MmapRequest& request) override;
  SharedMemory shared_memory() const override {
    return {device_.slot().shared_memory_fd(), mapped_, true};
  }

  static uapi::NamedNumbers IoctlNumbers(const Revision& revision);

 private:
  using IoctlCall = uapi::IoctlCall;
  // B0 and B1.
  Reply GetFlags(const IoctlCall& call);
  Reply GetNumRegions(const IoctlCall& call);
  Reply GetNumIrqs(const IoctlCall& call);
  Reply GetRegionInfoOctober(const IoctlCall& call);
  Reply GetIrqInfoB0(const IoctlCall& call);
  Reply GetIrqInfoB0Of32Bit(const IoctlCall& call);
  Reply GetIrqInfoB1(const IoctlCall& call);
  Reply SetIrqEventfdsOctober(const IoctlCall& call);
  Reply UnmaskIrqOctober(const IoctlCall& call);
  Reply SetUnmaskIrqEventfd(const IoctlCall& call);
  // B2 and B3.
  Reply GetInfo(const IoctlCall& call);
  Reply GetRegionInfo(const IoctlCall& call);
  Reply GetIrqInfo(const IoctlCall& call);
  Reply SetIrqEventfds(const IoctlCall& call);
  Reply UnmaskIrq(const IoctlCall& call);
  Reply SetUnmaskIrqEventfds(const IoctlCall& call);
  Reply GetSettableIrqInfo(const IoctlCall& call);
  Reply SetIrqs(const IoctlCall& call);
  // All.
  Reply Reset(const IoctlCall& call);

  template <class Info>
  Reply AnswerIrqInfo(const IoctlCall& call);

  // Whether a region can be mapped or only be read.
  u32 RegionFlags(CallContext& caller, u32 index) const;
  static u64 RegionOffset(u32 index) { return u64{index} << kRegionShift; }
  u32 IrqCount(u32 index) const;
  u32 IrqFlags(u32 index) const;

  struct Table;
  Device& device_;
  Group& group_;
  std::shared_ptr<IommuSet> set_;  // that of the group, which cannot leave it meanwhile
  early::Regions regions_;
  bool mapped_ = false;
};

}  // namespace vfiolab::merge
