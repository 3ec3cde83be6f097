// A device that is not PCI: regions and interrupts in a row, and no config space.
#pragma once
#include <vector>

#include "august/device.hpp"
#include "machine/platform_slot.hpp"

namespace vfiolab::august {

class PlatformDevice final : public Device, private PlatformIrqSink {
 public:
  explicit PlatformDevice(PlatformSlot& slot) : slot_(slot) {}

  // Device
  std::string name() const override { return slot_.name(); }
  bool is_pci() const override { return false; }
  bool was_reset() const override { return slot_.has_reset(); }
  void Reset() override { slot_.Reset(); }
  u32 regions() const override { return static_cast<u32>(slot_.device().regions().size()); }
  u64 RegionSize(u32 region) const override;
  bool CanMap(CallContext& caller, u32 region) const override;
  bool IsReadOnly(u32) const override { return false; }
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset) override;
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset) override;
  Reply Load(std::span<std::byte> to, u64 offset) override;
  Reply Store(std::span<const std::byte> from, u64 offset) override;
  Result<> CheckMmap(CallContext& caller, const MmapRequest& request) override;
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
  // How many of `count` bytes lie in the region that is there. EINVAL: there is none.
  Result<std::size_t> CheckAccess(u64 offset, std::size_t count) const;
  Result<> CheckOnBus(u64 offset, std::size_t count) const;

  PlatformSlot& slot_;
  std::vector<Line> lines_;  // while it is open
};

}  // namespace vfiolab::august
