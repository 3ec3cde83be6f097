// The interrupts of a device of 2010 to 2012: INTx that is masked until its end is told, MSI and
// MSI-X as lists of eventfds (drivers/vfio/vfio_intrs.c of that time).
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "early/interrupts.hpp"
#include "machine/machine.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::early {

class Irqs final : public InterruptSink, public Interrupts {
 public:
  // `intx_disabled` tells whether the client has set COMMAND.INTX_DISABLE.
  Irqs(DeviceSlot& slot, std::function<bool()> intx_disabled);
  ~Irqs() override;

  bool has_intx() const;
  // The eventfd that INTx signals; the one before is let go in any case. EINVAL: the device has no
  // INTx, or MSI is in use. EBADF, EINVAL: no eventfd. A negative descriptor: none.
  Result<> SetIntx(CallContext& caller, int fd);
  // INTx may come again, unless the client has disabled it in config space.
  void EndOfIntx();
  // An eventfd that says the same. EBUSY: there is one. ENODEV: none to be taken away.
  Result<> SetEndOfIntx(CallContext& caller, int fd);

  // One eventfd for each vector; an empty list switches it off. EINVAL: it is in use already, or is
  // not; INTx is in use (of MSI); the device has not so many vectors.
  Result<> SetMsi(CallContext& caller, const std::vector<int>& fds);
  Result<> SetMsix(CallContext& caller, const std::vector<int>& fds);
  // EINVAL: SetMsi() would not look at a list of that length.
  Result<> CheckMsi(int count) const;
  Result<> CheckMsix(int count) const;

  // Interrupts by their index of 2011 (VFIO_PCI_INTX_IRQ_INDEX ...): how many there are, and
  // `count` eventfds for them at `fds`, as SetIntx() and its kin take them. EFAULT: out of reach.
  unsigned Count(u32 index) const;
  Result<> SetEventfds(CallContext& caller, u32 index, u32 count, ClientAddress fds);

  // Interrupts
  void OnIntxDisable(bool disabled) override;
  std::optional<unsigned> msi_log2_vectors() const override;

  // InterruptSink
  void OnMsi(unsigned vector) override;
  void OnIntx(bool asserted) override;

 private:
  using Vectors = std::vector<Eventfd>;
  static Result<> CheckList(const Vectors& now, int count, unsigned most);
  static Result<Vectors> Import(CallContext& caller, const std::vector<int>& fds);
  unsigned MsiVectors() const;
  unsigned MsixVectors() const;
  Result<> SetIntxEventfds(CallContext& caller, u32 count, ClientAddress fds);
  void Mask(bool masked);
  void UpdateMsi();
  void Signal(const Eventfd& eventfd, std::string_view what);

  DeviceSlot& slot_;
  std::function<bool()> intx_disabled_;
  std::optional<Eventfd> intx_;
  bool masked_ = false;
  std::optional<Eventfd> end_;
  std::unique_ptr<EventfdWatch> end_watch_;
  Vectors msi_, msix_;
};

}  // namespace vfiolab::early
