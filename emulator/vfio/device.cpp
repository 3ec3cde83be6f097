#include "vfio/device.hpp"

#include <linux/pci_regs.h>

#include "pci/saved_state.hpp"

namespace vfiolab::vfio {

using uapi::CopyIn;
using uapi::CopyOut;
using uapi::IoctlCall;

void Device::Open() {
  if (opens_++ > 0) return;
  ConfigSpace& config = slot_.config();
  u32 decode = 0;
  for (const auto& bar : slot_.bars())
    if (bar) decode |= bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
  if (slot_.physical_function() != nullptr) decode = 0;  // has no such bits
  config.SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, false);
  config.SetBits(PCI_COMMAND, 2, decode, true);
  can_reset_ = slot_.CanReset();
  if (can_reset_) slot_.ResetFunction();
  saved_ = config;
  config.SetBits(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, false);
  config_ = std::make_unique<VirtualConfig>(slot_, *this);
  irqs_ = std::make_unique<Irqs>(slot_, config_->has_interrupt_pin(),
                                 [this] { return config_->intx_disabled(); });
  slot_.set_reset_listener([this] { UpdateMappings(); });
  LeaveLowPower();
  if (physical_ != nullptr) ++physical_->open_virtual_functions_;
}

Result<> Device::CheckToken(const std::optional<Uuid>& given) {
  if (physical_ != nullptr) {
    if (!given || given != physical_->token_) return Fail(EACCES, "not the token of the device");
    return {};
  }
  if (!has_token()) {
    if (given) return Fail(EINVAL, "a token for a device that has none");
    return {};
  }
  if (open_virtual_functions_ > 0) {
    if (!given || given != token_) return Fail(EACCES, "not the token of the device");
  } else if (given) {
    token_ = given;
  }
  return {};
}

bool Device::EnterLowPower(std::optional<Eventfd> wakeup) {
  if (low_power_) return false;
  low_power_ = true;
  wakeup_ = std::move(wakeup);
  UpdateMappings();
  return true;
}

void Device::LeaveLowPower() {
  low_power_ = false;
  wakeup_.reset();
  UpdateMappings();
}

void Device::OnMapped() {
  mapped_ = true;
  UpdateMappings();
}

void Device::UpdateMappings() {
  if (mapped_) slot_.SetMemoryReachable(mappings_answer());
}

void Device::Close() {
  if (--opens_ > 0) return;
  if (physical_ != nullptr) --physical_->open_virtual_functions_;
  slot_.set_reset_listener(nullptr);
  mapped_ = false;
  slot_.SetMemoryReachable(true);
  slot_.config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, false);
  ioeventfds_.clear();
  irqs_.reset();
  config_.reset();
  RestoreState(slot_.config(), *saved_);
  slot_.config().SetBits(PCI_STATUS, 2, PCI_STATUS_INTERRUPT, slot_.intx_asserted());
  if (can_reset_) slot_.ResetFunction();
}

std::shared_ptr<OpenFile> Device::MakeFile(std::shared_ptr<GroupFile> group) {
  return std::make_shared<DeviceFile>(*this, std::move(group));
}

bool Device::Decodes(u32 region) const {
  if (region == VFIO_PCI_VGA_REGION_INDEX) return true;  // whatever the kernel's arbiter says
  const bool io = region <= VFIO_PCI_BAR5_REGION_INDEX && slot_.bars()[region]->io;
  return io || config_->memory_enabled();
}

DeviceFile::DeviceFile(Device& device, std::shared_ptr<GroupFile> group)
    : device_(device), group_(std::move(group)) {
  ++group_->open_devices;
  device_.Open();
}

DeviceFile::~DeviceFile() {
  device_.Close();
  --group_->open_devices;
  device_.FinishGivingBack();
}

std::string DeviceFile::Name() const {
  return "[vfio-device " + device_.slot().bdf().ToString() + "]";
}

struct DeviceFile::Table {
  static constexpr auto kRows = uapi::Ioctls<DeviceFile>({
      {VFIO_DEVICE_GET_INFO, "VFIO_DEVICE_GET_INFO", &DeviceFile::GetInfo},
      {VFIO_DEVICE_GET_REGION_INFO, "VFIO_DEVICE_GET_REGION_INFO", &DeviceFile::GetRegionInfo},
      {VFIO_DEVICE_GET_IRQ_INFO, "VFIO_DEVICE_GET_IRQ_INFO", &DeviceFile::GetIrqInfo},
      {VFIO_DEVICE_SET_IRQS, "VFIO_DEVICE_SET_IRQS", &DeviceFile::SetIrqs},
      {VFIO_DEVICE_RESET, "VFIO_DEVICE_RESET", &DeviceFile::Reset},
      {VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
       &DeviceFile::GetHotResetInfo},
      {VFIO_DEVICE_PCI_HOT_RESET, "VFIO_DEVICE_PCI_HOT_RESET", &DeviceFile::HotReset},
      {VFIO_DEVICE_IOEVENTFD, "VFIO_DEVICE_IOEVENTFD", &DeviceFile::SetIoeventfd},
      {VFIO_DEVICE_FEATURE, "VFIO_DEVICE_FEATURE", &DeviceFile::Feature},
  });
};

std::vector<const char*> DeviceFile::IoctlNames() {
  std::vector<const char*> names;
  for (const auto& row : Table::kRows) names.push_back(row.name);
  return names;
}

Reply DeviceFile::Ioctl(CallContext& caller, u32 command, u64 argument) {
  return Dispatch(Table::kRows, *this, caller, command, argument, ENOTTY);
}

Reply DeviceFile::GetInfo(const IoctlCall& call) {
  // As Linux 6.6 and newer have it, whatever header this was built with.
  struct DeviceInfo {
    u32 argsz, flags, num_regions, num_irqs, cap_offset, pad;
  };
  constexpr std::size_t kMinimum = VFIOLAB_END_OF(DeviceInfo, num_irqs);
  DeviceInfo info{};
  TRY(CopyIn(call, info, kMinimum));
  const std::size_t given = std::min<std::size_t>(info.argsz, sizeof info);
  info.flags = VFIO_DEVICE_FLAGS_PCI | (device_.can_reset() ? VFIO_DEVICE_FLAGS_RESET : 0u);
  info.num_regions = VFIO_PCI_NUM_REGIONS;
  info.num_irqs = VFIO_PCI_NUM_IRQS;
  TRY(CopyOut(call, info, given));
  return 0;
}

Reply DeviceFile::Reset(const IoctlCall&) {
  if (!device_.can_reset()) return Fail(EINVAL, "the function has no reset of its own");
  if (device_.wanted_back()) return Fail(EAGAIN, "the kernel is taking the device back");
  device_.Reset();
  return 0;
}

}  // namespace vfiolab::vfio
