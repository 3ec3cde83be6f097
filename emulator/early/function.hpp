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
  // `restores_state`: with the last file the function is reset, and has its state of before.
  Function(DeviceSlot& slot, bool restores_state) : slot_(slot), restores_state_(restores_state) {}

  DeviceSlot& slot() { return slot_; }
  void Open();
  void Close();
  bool open() const { return opens_ > 0; }

  // Only while open.
  Config& config();
  Irqs& irqs() { return *irqs_; }

  // Config::Events
  void OnIntxDisable(bool disabled) override { irqs_->OnIntxDisable(disabled); }
  void OnFunctionLevelReset() override { slot_.ResetFunction(); }
  std::optional<unsigned> MsiLog2Vectors() const override { return irqs_->msi_log2_vectors(); }

 private:
  DeviceSlot& slot_;
  bool restores_state_;
  unsigned opens_ = 0;
  std::optional<ConfigSpace> saved_;  // as it was before the first open
  std::unique_ptr<Config> config_;    // made when it is first asked for
  std::unique_ptr<Irqs> irqs_;
};

}  // namespace vfiolab::early
