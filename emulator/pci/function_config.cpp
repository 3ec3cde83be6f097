#include "pci/function_config.hpp"

#include <linux/pci_regs.h>

#include "pci/express_capability.hpp"
#include "pci/writable_bits.hpp"

namespace vfiolab {
namespace {

// What software may write in a header beside the BARs, and what firmware leaves there.
void AddCommand(ConfigSpace& config) {
  config.MakeWritable(PCI_INTERRUPT_LINE, 1, 0xff);
  config.MakeWritable(PCI_CACHE_LINE_SIZE, 1, 0xff);
  config.MakeWritable(PCI_COMMAND, 2,
                      PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR |
                          PCI_COMMAND_INTX_DISABLE);
  // As firmware leaves a function that it has given its addresses.
  config.Set(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_SERR);
}

void AddHeader(ConfigSpace& config, const FunctionIdentity& id) {
  config.Set(PCI_VENDOR_ID, 2, id.vendor_id);
  config.Set(PCI_DEVICE_ID, 2, id.device_id);
  config.Set(PCI_CLASS_REVISION, 4, id.class_code << 8 | id.revision);
  config.Set(PCI_HEADER_TYPE, 1, id.multifunction ? 0x80 : 0x00);
  config.Set(PCI_SUBSYSTEM_VENDOR_ID, 2, id.subsystem_vendor_id);
  config.Set(PCI_SUBSYSTEM_ID, 2, id.subsystem_id);
  config.Set(PCI_INTERRUPT_PIN, 1, id.interrupt_pin);
  AddCommand(config);
  // What belongs to no capability is the device's own to write.
  for (std::size_t at = PCI_STD_HEADER_SIZEOF; at < kConventionalConfigSize; at += 4)
    config.MakeWritable(at, 4, 0xffffffff);
}

void AddBars(ConfigSpace& config, const BarLayouts& bars) {
  for (unsigned i = 0; i < bars.size(); ++i) {
    if (!bars[i]) continue;
    const BarLayout& bar = *bars[i];
    const std::size_t at = PCI_BASE_ADDRESS_0 + 4 * i;
    const u64 mask = ~(bar.size - 1);
    config.Set(at, 4, static_cast<u32>(bar.address) | bar.TypeBits());
    config.MakeWritable(at, 4, static_cast<u32>(mask));
    if (!bar.wide) continue;
    config.Set(at + 4, 4, static_cast<u32>(bar.address >> 32));
    config.MakeWritable(at + 4, 4, static_cast<u32>(mask >> 32));
  }
}

void AddMsi(ConfigSpace& config, unsigned vectors) {
  const u8 at = config.AddCapability(PCI_CAP_ID_MSI, 14);
  const u32 multiple = static_cast<u32>(std::countr_zero(vectors)) << 1;
  config.Set(at + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT | multiple);
  config.MakeWritable(at + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
  config.MakeWritable(at + PCI_MSI_ADDRESS_LO, 4, 0xfffffffc);
  config.MakeWritable(at + PCI_MSI_ADDRESS_HI, 4, 0xffffffff);
  config.MakeWritable(at + PCI_MSI_DATA_64, 2, 0xffff);
}

void AddMsix(ConfigSpace& config, const FunctionIdentity& id) {
  const u8 at = config.AddCapability(PCI_CAP_ID_MSIX, 12);
  config.Set(at + PCI_MSIX_FLAGS, 2, id.msix_vectors - 1);
  config.MakeWritable(at + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
  config.Set(at + PCI_MSIX_TABLE, 4, id.msix_bar);
  config.Set(at + PCI_MSIX_PBA, 4, id.msix_pba_offset | id.msix_bar);
}

}  // namespace

u32 BarLayout::TypeBits() const {
  if (io) return PCI_BASE_ADDRESS_SPACE_IO;
  return (wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0u) |
         (prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0u);
}

void AddRom(ConfigSpace& config, const RomLayout& rom) {
  config.Set(PCI_ROM_ADDRESS, 4, rom.address);
  config.MakeWritable(PCI_ROM_ADDRESS, 4, ~(rom.size - 1) | PCI_ROM_ADDRESS_ENABLE);
}

void BecomeVirtualFunction(ConfigSpace& config, u32 command_bits) {
  config.Set(PCI_VENDOR_ID, 4, 0xffffffff);
  config.Set(PCI_COMMAND, 2, 0);
  config.MakeWritable(PCI_COMMAND, 2, command_bits);
  for (std::size_t at = PCI_BASE_ADDRESS_0; at < PCI_CARDBUS_CIS; at += 4) {
    config.Set(at, 4, 0);
    config.MakeWritable(at, 4, 0);
  }
  config.Set(PCI_INTERRUPT_LINE, 2, 0);
  config.MakeWritable(PCI_INTERRUPT_LINE, 2, 0);
}

ConfigSpace BuildFunctionConfig(const FunctionIdentity& id, const BarLayouts& bars) {
  ConfigSpace config(id.express ? kExpressConfigSize : kConventionalConfigSize);
  AddHeader(config, id);
  AddBars(config, bars);
  if (id.msi_vectors > 0) AddMsi(config, id.msi_vectors);
  if (id.msix_vectors > 0) AddMsix(config, id);
  if (id.express) AddExpress(config, id.on_root_bus ? PCI_EXP_TYPE_RC_END : PCI_EXP_TYPE_ENDPOINT);
  if (id.acs) AddAcs(config, *id.acs);
  return config;
}

ConfigSpace BuildReplicaConfig(std::span<const std::byte> image,
                               std::span<const std::byte> writable, const BarLayouts& bars,
                               bool multifunction) {
  ConfigSpace config(std::vector<std::byte>(image.begin(), image.end()));
  for (std::size_t at = PCI_BASE_ADDRESS_0; at < PCI_CARDBUS_CIS; at += 4) config.Set(at, 4, 0);
  config.Set(PCI_ROM_ADDRESS, 4, 0);
  config.Set(PCI_INTERRUPT_LINE, 1, 0);
  config.SetBits(PCI_STATUS, 2, PCI_STATUS_INTERRUPT, false);
  if (multifunction) config.SetBits(PCI_HEADER_TYPE, 1, 0x80, true);
  AddCommand(config);
  AddBars(config, bars);
  const u8 express = config.FindCapability(PCI_CAP_ID_EXP);
  // One that keeps a latency was given it by firmware; Express has none.
  if (express == 0 && config.Get(PCI_LATENCY_TIMER, 1) != 0)
    config.MakeWritable(PCI_LATENCY_TIMER, 1, 0xff);
  if (const u8 at = config.FindCapability(PCI_CAP_ID_MSI))
    config.SetBits(at + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, false);
  if (const u8 at = config.FindCapability(PCI_CAP_ID_MSIX))
    config.SetBits(at + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, false);
  if (const u8 at = config.FindCapability(PCI_CAP_ID_PM))
    config.SetBits(at + PCI_PM_CTRL, 2, PCI_PM_CTRL_STATE_MASK, false);
  PermitCapabilities(config);
  if (writable.size() != config.size()) return config;
  for (std::size_t at = 0; at < config.size(); ++at) {
    const bool bar = at >= PCI_BASE_ADDRESS_0 && at < PCI_CARDBUS_CIS;
    if (!bar) config.MakeWritable(at, 1, static_cast<u8>(writable[at]));
  }
  return config;
}

}  // namespace vfiolab
