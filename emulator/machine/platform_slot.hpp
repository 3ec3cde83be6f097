// Where a platform device sits: its gate to the bus and its interrupt lines.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "device/platform_device.hpp"
#include "machine/host_services.hpp"

namespace vfiolab {

// Whoever has taken the interrupts of a platform device.
class PlatformIrqSink {
 public:
  virtual ~PlatformIrqSink() = default;
  virtual void OnLevel(unsigned irq, bool asserted) = 0;
  virtual void OnEdge(unsigned irq) = 0;
};

class PlatformSlot final : public PlatformHost {
 public:
  // `name` is the device's on its bus; `driver` is what is bound to it, "" for none.
  PlatformSlot(Machine& machine, std::string name, const Model& model, const Params& params,
               std::string driver);

  const std::string& name() const { return services_.name(); }
  const Model& model() const { return model_; }
  const std::string& driver() const { return driver_; }
  void set_driver(std::string name) { driver_ = std::move(name); }
  // The only driver that may have the device; nothing: whichever knows it.
  const std::optional<std::string>& driver_override() const { return driver_override_; }
  void set_driver_override(std::optional<std::string> name) { driver_override_ = std::move(name); }
  // Whether somebody on the host knows how to reset it.
  bool has_reset() const { return has_reset_; }
  void set_has_reset(bool has) { has_reset_ = has; }
  PlatformDevice& device() { return *device_; }
  const PlatformDevice& device() const { return *device_; }
  Machine& machine() { return services_.machine(); }
  IommuGroup& group() { return services_.group(); }
  void set_group(IommuGroup& group) { services_.set_group(&group); }

  // Accesses of 1, 2, 4 or 8 bytes, naturally aligned, inside a region that exists.
  void ReadRegion(unsigned region, Offset at, std::span<std::byte> to);
  void WriteRegion(unsigned region, Offset at, std::span<const std::byte> from);
  // The file that backs regions that can be mapped; -1 when there is none.
  int shared_memory_fd() const { return services_.shared_memory_fd(); }

  // The device starts anew, with all lines low.
  void Reset();

  void set_interrupt_sink(PlatformIrqSink* sink) { sink_ = sink; }
  bool asserted(unsigned irq) const { return asserted_.at(irq); }

  // PlatformHost
  Result<Success, DmaFault> DmaRead(Iova from, std::span<std::byte> to) override {
    return services_.DmaRead(from, to);
  }
  Result<Success, DmaFault> DmaWrite(Iova to, std::span<const std::byte> from) override {
    return services_.DmaWrite(to, from);
  }
  void After(std::chrono::nanoseconds delay, std::function<void()> due) override {
    services_.After(delay, std::move(due));
  }
  void GuestError(std::string_view what) override { services_.GuestError(what); }
  std::span<std::byte> AllocateRegionMemory(unsigned region, u64 size) override {
    return services_.AllocateRegionMemory(region, size);
  }
  void SetIrq(unsigned irq, bool asserted) override;
  void PulseIrq(unsigned irq) override;

 private:
  HostServices services_;  // goes last: the device's memory is there
  const Model& model_;
  std::string driver_;
  std::optional<std::string> driver_override_;
  bool has_reset_ = true;
  std::unique_ptr<PlatformDevice> device_;
  std::vector<bool> asserted_;  // of level interrupts
  PlatformIrqSink* sink_ = nullptr;
};

}  // namespace vfiolab
