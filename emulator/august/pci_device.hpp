// A PCI function.
#pragma once
#include "august/device.hpp"
#include "early/function.hpp"
#include "early/regions.hpp"

namespace vfiolab::august {

class PciDevice final : public Device {
 public:
  explicit PciDevice(DeviceSlot& slot);

  // Device
  std::string name() const override { return slot_.bdf().ToString(); }
  bool is_pci() const override { return true; }
  bool was_reset() const override { return function_.was_reset(); }
  void Reset() override { slot_.ResetFunction(); }
  u32 regions() const override { return kRegions; }
  u64 RegionSize(u32 region) const override { return regions_.Size(region); }
  bool CanMap(CallContext& caller, u32 region) const override {
    return regions_.CanMap(caller, region);
  }
  bool IsReadOnly(u32 region) const override { return region == early::Regions::kRom; }
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset) override {
    return regions_.Read(caller, to, offset);
  }
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset) override {
    return regions_.Write(caller, from, offset);
  }
  Reply Load(std::span<std::byte> to, u64 offset) override { return regions_.Load(to, offset); }
  Reply Store(std::span<const std::byte> from, u64 offset) override {
    return regions_.Store(from, offset);
  }
  Result<u64> Mmap(CallContext& caller, const MmapRequest& request) override {
    return regions_.Mmap(caller, request);
  }
  int shared_memory_fd() const override { return slot_.shared_memory_fd(); }
  u32 irqs() const override { return kIrqs; }
  u32 IrqCount(u32 index) const override { return irqs_->Count(index); }
  bool IsLevel(u32 index) const override { return index == 0 && IrqCount(index) > 0; }
  Result<> SetEventfds(CallContext& caller, u32 index, u32 count, ClientAddress fds) override {
    return irqs_->SetEventfds(caller, index, count, fds);
  }
  Result<> Unmask(u32 index) override;

 private:
  static constexpr u32 kRegions = 8, kIrqs = 3;
  void OnOpen() override { function_.Open(); }
  void OnClose() override { function_.Close(); }

  DeviceSlot& slot_;
  early::Irqs* irqs_ = nullptr;  // the function's, while it is open
  early::Function function_;
  early::Regions regions_;
};

}  // namespace vfiolab::august
