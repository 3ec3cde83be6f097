// The interrupts of a vfio-pci device: which eventfds they signal (vfio_pci_intrs.c).
#pragma once
#include <map>
#include <optional>

#include "machine/machine.hpp"
#include "vfio/irq_request.hpp"
#include "vfio/virqfd.hpp"

namespace vfiolab::vfio {

class Irqs final : public InterruptSink {
 public:
  // `has_intx`: the client sees an interrupt pin. `intx_disabled` tells whether it has set
  // COMMAND.INTX_DISABLE. `indexes`: those up to there can be set.
  Irqs(DeviceSlot& slot, bool has_intx, std::function<bool()> intx_disabled,
       u32 indexes = VFIO_PCI_NUM_IRQS);
  ~Irqs() override;

  // Every eventfd is let go and every interrupt disabled.
  void DisableAll();

  // How many interrupts `index` has; 0 for an index that the device lacks.
  u32 Count(u32 index) const;
  Reply GetInfo(const uapi::IoctlCall& call) const;
  // Checks in the kernel's order, then acts; see the spec of VFIO_DEVICE_SET_IRQS.
  Reply Set(const uapi::IoctlCall& call);

  // Signals REQ: the kernel wants the device back.
  void RequestBack() {
    if (request_) Signal(*request_, "request");
  }
  // The client changed COMMAND.INTX_DISABLE.
  void OnIntxDisableChanged(bool disabled);
  // The most vectors MSI was enabled with, as a power of two's exponent; nothing when it is off.
  std::optional<unsigned> msi_log2_vectors() const;

  // InterruptSink
  void OnMsi(unsigned vector) override;
  void OnIntx(bool asserted) override;

 private:
  using Request = IrqRequest;

  enum class Mode { kNone, kIntx, kMsi, kMsix };

  Reply SetIntxMask(const Request& request);
  Reply SetIntxUnmask(const Request& request);
  Reply SetIntxTrigger(const Request& request);
  Reply SetMsiTrigger(const Request& request);
  Reply SetSingleTrigger(std::optional<Eventfd>& trigger, const Request& request);

  Result<> ReplaceIntxTrigger(CallContext& caller, int fd);
  void DisableIntx();
  void MaskIntx();
  void UnmaskIntx();
  void SignalIntx();

  Reply SetVectors(const Request& request, bool just_enabled);
  void DisableMsi();
  void Signal(const Eventfd& eventfd, std::string_view what);

  DeviceSlot& slot_;
  bool has_intx_;
  std::function<bool()> intx_disabled_;
  u32 indexes_;
  Mode mode_ = Mode::kNone;

  std::optional<Eventfd> intx_trigger_;
  bool intx_masked_ = false;
  Virqfd unmask_;

  u32 enabled_vectors_ = 0;
  std::map<u32, Eventfd> vectors_;
  std::optional<Eventfd> error_;
  std::optional<Eventfd> request_;
};

}  // namespace vfiolab::vfio
