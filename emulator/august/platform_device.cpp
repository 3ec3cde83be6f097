#include "august/platform_device.hpp"

#include <fmt/format.h>

#include "machine/machine.hpp"

namespace vfiolab::august {
void PlatformDevice::OnOpen() {
  lines_.resize(irqs());
  slot_.set_interrupt_sink(this);
  if (slot_.has_reset()) slot_.Reset();
}

void PlatformDevice::OnClose() {
  if (slot_.has_reset()) slot_.Reset();
  slot_.set_interrupt_sink(nullptr);
  lines_.clear();
}

void PlatformDevice::Signal(unsigned irq) {
  if (!lines_[irq].eventfd) return;
  slot_.machine().trace().Output(
      [&] { return fmt::format("eventfd {} irq {}", slot_.name(), irq); });
  lines_[irq].eventfd->Signal();
}

void PlatformDevice::OnLevel(unsigned irq, bool asserted) {
  Line& line = lines_[irq];
  if (!asserted || line.masked || !line.eventfd) return;
  line.masked = true;
  Signal(irq);
}

Result<> PlatformDevice::SetEventfds(CallContext& caller, u32 index, u32 count, ClientAddress fds) {
  if (count > 1) return Fail(EINVAL, "each index has one interrupt");
  const int fd = count == 0 ? -1 : TRY(caller.memory().Load<int>(fds));
  Line& line = lines_[index];
  line = {};
  if (count == 0) return {};
  if (fd < 0) return Fail(EINVAL, fmt::format("descriptor {}", fd));
  line.eventfd.emplace(TRY(caller.ImportEventfd(fd)));
  if (IsLevel(index)) OnLevel(index, slot_.asserted(index));
  return {};
}

Result<> PlatformDevice::Unmask(u32 index) {
  if (index >= irqs() || !IsLevel(index))
    return Fail(EINVAL, fmt::format("index {} is not masked", index));
  lines_[index].masked = false;
  OnLevel(index, slot_.asserted(index));
  return {};
}

}  // namespace vfiolab::august
