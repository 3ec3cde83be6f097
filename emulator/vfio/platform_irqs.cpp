#include "vfio/platform_irqs.hpp"

#include "machine/machine.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

PlatformIrqs::PlatformIrqs(PlatformSlot& slot) : slot_(slot) {
  for (const IrqTrigger trigger : slot.device().identity().irqs)
    lines_.push_back({.level = trigger == IrqTrigger::kLevel});
  slot_.set_interrupt_sink(this);
}

PlatformIrqs::~PlatformIrqs() { slot_.set_interrupt_sink(nullptr); }

Reply PlatformIrqs::GetInfo(const IoctlCall& call) const {
  vfio_irq_info info{};
  TRY(CopyIn(call, info));
  if (info.index >= count()) return Fail(EINVAL, fmt::format("no interrupt {}", info.index));
  info.flags = VFIO_IRQ_INFO_EVENTFD;
  if (lines_[info.index].level) info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
  info.count = 1;
  TRY(CopyOut(call, info));
  return 0;
}

Reply PlatformIrqs::Set(const IoctlCall& call) {
  // Start and count are held against the number of indexes, whatever the index.
  const IrqRequest request = TRY(CopyInIrqRequest(call, count(), [this](u32) { return count(); }));
  switch (request.action) {
    case VFIO_IRQ_SET_ACTION_MASK:
      return SetMask(request, true);
    case VFIO_IRQ_SET_ACTION_UNMASK:
      return SetMask(request, false);
    case VFIO_IRQ_SET_ACTION_TRIGGER:
      return SetTrigger(request);
    default:
      return Fail(ENOTTY, fmt::format("action {:#x} is not exactly one", request.action));
  }
}

void PlatformIrqs::Handle(u32 irq) {
  Line& line = lines_[irq];
  if (line.level && line.masked) return;
  line.masked = line.level;
  if (!line.trigger) return;
  slot_.machine().trace().Output(
      [&] { return fmt::format("eventfd {} irq {}", slot_.name(), irq); });
  line.trigger->Signal();
}

void PlatformIrqs::OnLevel(unsigned irq, bool asserted) {
  if (asserted && lines_[irq].trigger) Handle(irq);
}

// One that comes while the line is disabled is kept (kernel/irq/resend.c).
void PlatformIrqs::OnEdge(unsigned irq) {
  if (lines_[irq].trigger)
    Handle(irq);
  else
    lines_[irq].pending = true;
}

void PlatformIrqs::Unmask(u32 irq) {
  lines_[irq].masked = false;
  OnLevel(irq, slot_.asserted(irq));
}

Reply PlatformIrqs::SetMask(const IrqRequest& request, bool masked) {
  Line& line = lines_[request.index];
  if (request.start != 0 || request.count != 1) return Fail(EINVAL, "each index has one interrupt");
  if (!line.level) return Fail(EINVAL, "an edge interrupt cannot be masked");
  const auto act = [this, masked, irq = request.index] {
    if (masked)
      Mask(lines_[irq]);
    else
      Unmask(irq);
  };
  if (request.data_type != VFIO_IRQ_SET_DATA_EVENTFD) {
    if (request.is_set()) act();
    return 0;
  }
  Virqfd& virqfd = masked ? line.mask : line.unmask;
  const int fd = request.fd(0);
  if (fd < 0)
    virqfd.Disable();
  else
    TRY(virqfd.Enable(slot_.machine().environment(), request.caller, fd, act));
  return 0;
}

Result<> PlatformIrqs::ReplaceTrigger(const IrqRequest& request, int fd) {
  const u32 irq = request.index;
  Line& line = lines_[irq];
  line.trigger.reset();  // also where the new one is none
  if (fd < 0) return {};
  line.trigger.emplace(TRY(request.caller.ImportEventfd(fd)));
  if (line.level ? slot_.asserted(irq) : std::exchange(line.pending, false)) Handle(irq);
  return {};
}

Reply PlatformIrqs::SetTrigger(const IrqRequest& request) {
  if (request.count == 0 && request.data_type == VFIO_IRQ_SET_DATA_NONE) {
    TRY(ReplaceTrigger(request, -1));
    return 0;
  }
  if (request.start != 0 || request.count != 1) return Fail(EINVAL, "each index has one interrupt");
  if (request.data_type == VFIO_IRQ_SET_DATA_EVENTFD)
    TRY(ReplaceTrigger(request, request.fd(0)));
  else if (request.is_set())
    Handle(request.index);
  return 0;
}

}  // namespace vfiolab::vfio
