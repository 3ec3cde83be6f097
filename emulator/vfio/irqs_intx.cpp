// INTx: a level that is masked when it fires and signalled again when it is unmasked too early.
#include <linux/pci_regs.h>

#include "vfio/irqs.hpp"

namespace vfiolab::vfio {

void Irqs::SignalIntx() {
  if (mode_ == Mode::kIntx && !intx_disabled_() && intx_trigger_) Signal(*intx_trigger_, "intx");
}

void Irqs::OnIntx(bool asserted) {
  if (!asserted || mode_ != Mode::kIntx || intx_masked_) return;
  MaskIntx();
  SignalIntx();
}

void Irqs::MaskIntx() {
  intx_masked_ = true;
  slot_.config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, true);
}

void Irqs::UnmaskIntx() {
  if (!intx_masked_ || intx_disabled_()) return;
  if (slot_.intx_asserted()) {  // still pending: signalled at once, and stays masked
    SignalIntx();
    return;
  }
  intx_masked_ = false;
  slot_.config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, false);
}

void Irqs::OnIntxDisableChanged(bool disabled) {
  if (mode_ != Mode::kIntx)  // the hardware's bit follows the client's
    slot_.config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, disabled);
  else if (disabled)
    MaskIntx();
  else
    UnmaskIntx();
}

void Irqs::DisableIntx() {
  unmask_.Disable();
  intx_trigger_.reset();
  mode_ = Mode::kNone;
}

Result<> Irqs::ReplaceIntxTrigger(CallContext& caller, int fd) {
  if (fd < 0) {
    intx_trigger_.reset();
    return {};
  }
  intx_trigger_.emplace(TRY(caller.ImportEventfd(fd)));
  return {};
}

Reply Irqs::SetIntxMask(const Request& request) {
  if (mode_ != Mode::kIntx || request.start != 0 || request.count != 1)
    return Fail(EINVAL, "INTx is not enabled, or not exactly its one interrupt is meant");
  if (request.data_type == VFIO_IRQ_SET_DATA_EVENTFD)
    return Fail(ENOTTY, "INTx cannot be masked by eventfd");
  if (request.is_set()) MaskIntx();
  return 0;
}

Reply Irqs::SetIntxUnmask(const Request& request) {
  if (mode_ != Mode::kIntx || request.start != 0 || request.count != 1)
    return Fail(EINVAL, "INTx is not enabled, or not exactly its one interrupt is meant");
  if (request.data_type != VFIO_IRQ_SET_DATA_EVENTFD) {
    if (request.is_set()) UnmaskIntx();
    return 0;
  }
  const int fd = request.fd(0);
  if (fd < 0)
    unmask_.Disable();
  else
    TRY(unmask_.Enable(slot_.machine().environment(), request.caller, fd,
                       [this] { UnmaskIntx(); }));
  return 0;
}

Reply Irqs::SetIntxTrigger(const Request& request) {
  const bool none = request.data_type == VFIO_IRQ_SET_DATA_NONE;
  if (mode_ == Mode::kIntx && request.count == 0 && none) {
    DisableIntx();
    return 0;
  }
  if ((mode_ != Mode::kIntx && mode_ != Mode::kNone) || request.start != 0 || request.count != 1)
    return Fail(EINVAL, "another interrupt type is enabled, or not exactly one INTx is meant");
  if (request.data_type != VFIO_IRQ_SET_DATA_EVENTFD) {
    if (mode_ != Mode::kIntx) return Fail(EINVAL, "INTx is not enabled");
    if (request.is_set()) SignalIntx();
    return 0;
  }
  TRY(ReplaceIntxTrigger(request.caller, request.fd(0)));
  if (mode_ == Mode::kIntx) return 0;
  mode_ = Mode::kIntx;
  intx_masked_ = intx_disabled_();
  slot_.config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, intx_masked_);
  OnIntx(slot_.intx_asserted());
  return 0;
}

}  // namespace vfiolab::vfio
