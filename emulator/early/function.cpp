#include "early/function.hpp"

#include <linux/pci_regs.h>

#include "pci/saved_state.hpp"

namespace vfiolab::early {

void Function::Open() {
  if (opens_++ > 0) return;
  ConfigSpace& config = slot_.config();
  was_reset_ = slot_.CanReset();
  if (was_reset_) slot_.ResetFunction();
  saved_ = config;
  u32 decode = 0;
  for (const auto& bar : slot_.bars())
    if (bar) decode |= bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
  if (slot_.physical_function() == nullptr) config.SetBits(PCI_COMMAND, 2, decode, true);
  config.SetBits(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, false);
  interrupts_ =
      make_interrupts_(slot_, [this] { return config_ != nullptr && config_->intx_disabled(); });
}

Config& Function::config() {
  if (config_ == nullptr) config_ = std::make_unique<Config>(slot_, *this);
  return *config_;
}

void Function::Close() {
  if (--opens_ > 0) return;
  interrupts_.reset();
  config_.reset();
  if (restores_state_) {
    if (slot_.CanReset()) slot_.ResetFunction();
    RestoreState(slot_.config(), *saved_);
    slot_.config().SetBits(PCI_STATUS, 2, PCI_STATUS_INTERRUPT, slot_.intx_asserted());
  }
  slot_.config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, false);
}

}  // namespace vfiolab::early
