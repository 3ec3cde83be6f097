#include "august/pci_device.hpp"

namespace vfiolab::august {

PciDevice::PciDevice(DeviceSlot& slot)
    : slot_(slot),
      function_(slot, true,
                [this](DeviceSlot& of, std::function<bool()> disabled) {
                  auto irqs = std::make_unique<early::Irqs>(of, std::move(disabled));
                  irqs_ = irqs.get();
                  return irqs;
                }),
      regions_(slot, {}, [this]() -> early::Config& { return function_.config(); }) {}

Result<> PciDevice::Unmask(u32 index) {
  if (index != 0) return Fail(EINVAL, fmt::format("index {} is not masked", index));
  irqs_->EndOfIntx();
  return {};
}

}  // namespace vfiolab::august
