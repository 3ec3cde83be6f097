// A device that is not PCI: regions and interrupts in a row, and no config space.
#pragma once
#include <vector>

#include "august/device.hpp"
#include "machine/platform_regions.hpp"

namespace vfiolab::august {

class PlatformDevice final : public Device, private PlatformIrqSink {
 public:
  explicit PlatformDevice(PlatformSlot& slot) : slot_(slot), regions_(slot) {}

  // Device
  std::string name() const override { return slot_.name(); }
  bool is_pci() const override { return false; }
  bool was_reset() const override { return slot_.has_reset(); }
  void Reset() override { slot_.Reset(); }
  u32 regions() const override { return static_cast<u32>(regions_.count()); }
  u64 RegionSize(u32 region) const override { return regions_.Size(region); }
  bool CanMap(CallContext& caller, u32 region) const override {
    return regions_.CanMap(region, caller);
  }
  bool IsReadOnly(u32) const override { return false; }
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
  u32 irqs() const override { return static_cast<u32>(slot_.device().identity().irqs.size()); }
  u32 IrqCount(u32) const override { return 1; }
  bool IsLevel(u32 index) const override {
    return slot_.device().identity().irqs[index] == IrqTrigger::kLevel;
  }
  Result<> SetEventfds(CallContext& caller, u32 index, u32 count, ClientAddress fds) override;
  Result<> Unmask(u32 index) override;

 private:
  struct Line {
    std::optional<Eventfd> eventfd;
    bool masked = false;  // of a level, since it has come
  };
  void OnOpen() override;
  void OnClose() override;

  // PlatformIrqSink
  void OnLevel(unsigned irq, bool asserted) override;
  void OnEdge(unsigned irq) override { Signal(irq); }

  void Signal(unsigned irq);
  PlatformSlot& slot_;
  PlatformRegions regions_;
  std::vector<Line> lines_;  // while it is open
};

}  // namespace vfiolab::august
