#include "early/irqs.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <algorithm>
#include <bit>

namespace vfiolab::early {

Irqs::Irqs(DeviceSlot& slot, std::function<bool()> intx_disabled)
    : slot_(slot), intx_disabled_(std::move(intx_disabled)) {
  slot_.set_interrupt_sink(this);
}

Irqs::~Irqs() {
  msi_.clear();
  msix_.clear();
  UpdateMsi();
  slot_.set_interrupt_sink(nullptr);
}

void Irqs::Signal(const Eventfd& eventfd, std::string_view what) {
  slot_.machine().trace().Output(
      [&] { return fmt::format("eventfd {} {}", slot_.bdf().ToString(), what); });
  eventfd.Signal();
}

bool Irqs::has_intx() const { return slot_.config().Get(PCI_INTERRUPT_PIN, 1) != 0; }

void Irqs::Mask(bool masked) {
  masked_ = masked;
  slot_.config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, masked);
}

Result<> Irqs::SetIntx(CallContext& caller, int fd) {
  if (!has_intx()) return Fail(EINVAL, "the device has no INTx");
  intx_.reset();
  if (!msi_.empty()) return Fail(EINVAL, "MSI is in use");
  if (fd < 0) return {};
  intx_.emplace(TRY(caller.ImportEventfd(fd)));
  Mask(intx_disabled_());
  OnIntx(slot_.intx_asserted());
  return {};
}

void Irqs::OnIntx(bool asserted) {
  if (!asserted || !intx_ || masked_) return;
  Mask(true);
  Signal(*intx_, "intx");
}

void Irqs::EndOfIntx() {
  if (!masked_ || intx_disabled_()) return;
  Mask(false);
  OnIntx(slot_.intx_asserted());
}

void Irqs::OnIntxDisable(bool disabled) {
  Mask(disabled);
  if (!disabled) OnIntx(slot_.intx_asserted());
}

Result<> Irqs::SetEndOfIntx(CallContext& caller, int fd) {
  // One that nobody has open any more has left its place.
  const bool is_set = end_watch_ && end_watch_->HasClients();
  if (fd < 0) {
    end_watch_.reset();
    end_.reset();
    return is_set ? Result<>() : Fail(ENODEV, "no eventfd is set");
  }
  if (is_set) return Fail(EBUSY, "an eventfd is set already");
  Eventfd eventfd = TRY(caller.ImportEventfd(fd));
  end_watch_.reset();
  end_.emplace(std::move(eventfd));
  end_watch_ = slot_.machine().environment().WatchEventfd(*end_, [this] { EndOfIntx(); });
  if (end_watch_ != nullptr) return {};
  end_.reset();
  return Fail(ENOMEM, "no descriptor is left to watch the eventfd with");
}

unsigned Irqs::MsiVectors() const {
  const u8 at = slot_.config().FindCapability(PCI_CAP_ID_MSI);
  if (at == 0) return 0;
  constexpr unsigned kMost = 32;
  return std::min(kMost,
                  1u << ((slot_.config().Get(at + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QMASK) >> 1));
}

unsigned Irqs::MsixVectors() const {
  const u8 at = slot_.config().FindCapability(PCI_CAP_ID_MSIX);
  if (at == 0) return 0;
  return (slot_.config().Get(at + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
}

Result<> Irqs::CheckList(const Vectors& now, int count, unsigned most) {
  if (count < 0 || (count == 0) == now.empty())
    return Fail(EINVAL, fmt::format("{} vectors while {} are in use", count, now.size()));
  if (static_cast<unsigned>(count) > most)
    return Fail(EINVAL, fmt::format("{} vectors of {}", count, most));
  return {};
}

Result<> Irqs::CheckMsi(int count) const {
  if (intx_) return Fail(EINVAL, "INTx is in use");
  return CheckList(msi_, count, MsiVectors());
}

Result<> Irqs::CheckMsix(int count) const { return CheckList(msix_, count, MsixVectors()); }

Result<Irqs::Vectors> Irqs::Import(CallContext& caller, const std::vector<int>& fds) {
  Vectors vectors;
  for (const int fd : fds) vectors.push_back(TRY(caller.ImportEventfd(fd)));
  return vectors;
}

Result<> Irqs::SetMsi(CallContext& caller, const std::vector<int>& fds) {
  TRY(CheckMsi(static_cast<int>(fds.size())));
  msi_ = TRY(Import(caller, fds));
  UpdateMsi();
  return {};
}

Result<> Irqs::SetMsix(CallContext& caller, const std::vector<int>& fds) {
  TRY(CheckMsix(static_cast<int>(fds.size())));
  msix_ = TRY(Import(caller, fds));
  UpdateMsi();
  return {};
}

unsigned Irqs::Count(u32 index) const {
  if (index == VFIO_PCI_INTX_IRQ_INDEX) return has_intx() ? 1 : 0;
  return index == VFIO_PCI_MSIX_IRQ_INDEX ? MsixVectors() : MsiVectors();
}

Result<> Irqs::SetIntxEventfds(CallContext& caller, u32 count, ClientAddress fds) {
  if (!has_intx() || count > 1)
    return Fail(EINVAL, fmt::format("the device has no {} lines", count));
  const int fd = count == 0 ? -1 : TRY(caller.memory().Load<int>(fds));
  intx_.reset();
  if (count == 0) return {};
  if (fd < 0) return Fail(EINVAL, fmt::format("descriptor {}", fd));
  return SetIntx(caller, fd);
}

Result<> Irqs::SetEventfds(CallContext& caller, u32 index, u32 count, ClientAddress fds) {
  if (index == VFIO_PCI_INTX_IRQ_INDEX) return SetIntxEventfds(caller, count, fds);
  const bool msix = index == VFIO_PCI_MSIX_IRQ_INDEX;
  constexpr u32 kMost = 2048;  // of MSI-X
  const int listed = static_cast<int>(std::min(count, kMost + 1));
  TRY(msix ? CheckMsix(listed) : CheckMsi(listed));
  std::vector<int> list(count);
  TRY(caller.memory().Read(fds, std::as_writable_bytes(std::span{list})));
  return msix ? SetMsix(caller, list) : SetMsi(caller, list);
}

// With both enabled, which nothing forbids, a device uses MSI-X.
void Irqs::UpdateMsi() {
  slot_.SetMsi(!msix_.empty()  ? MsiState::kMsix
               : !msi_.empty() ? MsiState::kMsi
                               : MsiState::kDisabled);
}

std::optional<unsigned> Irqs::msi_log2_vectors() const {
  if (msi_.empty()) return std::nullopt;
  return static_cast<unsigned>(std::bit_width(msi_.size() - 1));
}

void Irqs::OnMsi(unsigned vector) {
  const Vectors& vectors = msix_.empty() ? msi_ : msix_;
  if (vector < vectors.size()) Signal(vectors[vector], fmt::format("vector {}", vector));
}

}  // namespace vfiolab::early
