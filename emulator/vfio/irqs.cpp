#include "vfio/irqs.hpp"

#include <linux/pci_regs.h>

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

Irqs::Irqs(DeviceSlot& slot, bool has_intx, std::function<bool()> intx_disabled, u32 indexes)
    : slot_(slot),
      has_intx_(has_intx),
      intx_disabled_(std::move(intx_disabled)),
      indexes_(indexes) {
  slot_.set_interrupt_sink(this);
}

Irqs::~Irqs() {
  DisableAll();
  slot_.set_interrupt_sink(nullptr);
}

void Irqs::DisableAll() {
  if (mode_ == Mode::kIntx) DisableIntx();
  if (mode_ == Mode::kMsi || mode_ == Mode::kMsix) DisableMsi();
  error_.reset();
  request_.reset();
}

u32 Irqs::Count(u32 index) const {
  const ConfigSpace& config = slot_.config();
  switch (index) {
    case VFIO_PCI_INTX_IRQ_INDEX:
      return has_intx_ ? 1 : 0;
    case VFIO_PCI_MSI_IRQ_INDEX:
      if (const u8 at = config.FindCapability(PCI_CAP_ID_MSI))
        return 1u << ((config.Get(at + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QMASK) >> 1);
      return 0;
    case VFIO_PCI_MSIX_IRQ_INDEX:
      if (const u8 at = config.FindCapability(PCI_CAP_ID_MSIX))
        return (config.Get(at + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
      return 0;
    case VFIO_PCI_ERR_IRQ_INDEX:
      return slot_.machine().kernel().version.errors_of_conventional_pci ||
                     config.FindCapability(PCI_CAP_ID_EXP)
                 ? 1
                 : 0;
    default:
      return 1;  // REQ
  }
}

Reply Irqs::GetInfo(const IoctlCall& call) const {
  vfio_irq_info info{};
  TRY(CopyIn(call, info));
  if (info.index >= indexes_) return Fail(EINVAL, fmt::format("no IRQ index {}", info.index));
  if (info.index == VFIO_PCI_ERR_IRQ_INDEX && Count(info.index) == 0)
    return Fail(EINVAL, "a device without PCI Express has no ERR interrupt");
  info.flags = VFIO_IRQ_INFO_EVENTFD;
  if (info.index == VFIO_PCI_INTX_IRQ_INDEX)
    info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
  else if (info.index != VFIO_PCI_MSIX_IRQ_INDEX || Count(info.index) == 0)
    // Vectors of MSI-X can be added while it is enabled, if there is MSI-X.
    info.flags |= VFIO_IRQ_INFO_NORESIZE;
  info.count = Count(info.index);
  TRY(CopyOut(call, info));
  return 0;
}

Reply Irqs::Set(const IoctlCall& call) {
  const Request request =
      TRY(CopyInIrqRequest(call, indexes_, [this](u32 index) { return Count(index); }));
  const u32 action = request.action;
  const bool trigger = action == VFIO_IRQ_SET_ACTION_TRIGGER;
  switch (request.index) {
    case VFIO_PCI_INTX_IRQ_INDEX:
      if (action == VFIO_IRQ_SET_ACTION_MASK) return SetIntxMask(request);
      if (action == VFIO_IRQ_SET_ACTION_UNMASK) return SetIntxUnmask(request);
      if (trigger) return SetIntxTrigger(request);
      break;
    case VFIO_PCI_MSI_IRQ_INDEX:
    case VFIO_PCI_MSIX_IRQ_INDEX:
      if (trigger) return SetMsiTrigger(request);
      break;
    case VFIO_PCI_ERR_IRQ_INDEX:
      if (trigger) return SetSingleTrigger(error_, request);
      break;
    default:
      if (trigger) return SetSingleTrigger(request_, request);
  }
  return Fail(ENOTTY, fmt::format("IRQ index {} has no action {:#x}", request.index, action));
}

void Irqs::Signal(const Eventfd& eventfd, std::string_view what) {
  slot_.machine().trace().Output(
      [&] { return fmt::format("eventfd {} {}", slot_.bdf().ToString(), what); });
  eventfd.Signal();
}

Reply Irqs::SetSingleTrigger(std::optional<Eventfd>& trigger, const Request& request) {
  if (request.start != 0 || request.count > 1) return Fail(EINVAL, "the index has one interrupt");
  switch (request.data_type) {
    case VFIO_IRQ_SET_DATA_NONE:
      if (!trigger) return Fail(EINVAL, "no eventfd is set");
      if (request.count == 0)
        trigger.reset();
      else
        Signal(*trigger, "loop-back");
      return 0;
    case VFIO_IRQ_SET_DATA_BOOL:
      if (request.count == 0) return Fail(EINVAL, "count is 0");
      if (request.flag(0) && trigger) Signal(*trigger, "loop-back");
      return 0;
    default:
      break;
  }
  if (request.count == 0) return Fail(EINVAL, "count is 0");
  const int fd = request.fd(0);
  if (fd == -1) {
    trigger.reset();
    return 0;
  }
  if (fd < 0) return Fail(EINVAL, fmt::format("descriptor {}", fd));
  trigger.emplace(TRY(request.caller.ImportEventfd(fd)));
  return 0;
}

}  // namespace vfiolab::vfio
