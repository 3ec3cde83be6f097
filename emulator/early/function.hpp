// A function as long as files have it open: the first one enables it, the last one disables it
// (drivers/vfio/vfio_main.c of 2010 to 2012).
#pragma once
#include <memory>
#include <optional>

#include "early/config.hpp"
#include "early/irqs.hpp"

namespace vfiolab::early {

class Function final : public Config::Events {
 public:
  // Makes what a client sets interrupts by, at the first open; `intx_disabled` tells whether it has
  // set COMMAND.INTX_DISABLE.
  using MakeInterrupts = std::function<std::unique_ptr<Interrupts>(
      DeviceSlot& slot, std::function<bool()> intx_disabled)>;

  // `restores_state`: with the last file the function is reset, and has its state of before.
  Function(DeviceSlot& slot, bool restores_state, MakeInterrupts make)
      : slot_(slot), restores_state_(restores_state), make_interrupts_(std::move(make)) {}

  DeviceSlot& slot() { return slot_; }
  void Open();
  void Close();
  bool open() const { return opens_ > 0; }

  // Only while open.
  Config& config();
  Interrupts& interrupts() { return *interrupts_; }
  // Whether the function was reset when it was opened.
  bool was_reset() const { return was_reset_; }

  // Config::Events
  void OnIntxDisable(bool disabled) override { interrupts_->OnIntxDisable(disabled); }
  void OnFunctionLevelReset() override { slot_.ResetFunction(); }
  std::optional<unsigned> MsiLog2Vectors() const override {
    return interrupts_->msi_log2_vectors();
  }

 private:
  DeviceSlot& slot_;
  bool restores_state_;
  MakeInterrupts make_interrupts_;
  unsigned opens_ = 0;
  bool was_reset_ = false;
  std::optional<ConfigSpace> saved_;  // as it was before the first open
  std::unique_ptr<Config> config_;    // made when it is first asked for
  std::unique_ptr<Interrupts> interrupts_;
};

}  // namespace vfiolab::early
