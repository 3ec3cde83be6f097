#include "topology/virtual_functions.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>

#include "device/params.hpp"
#include "pci/config_space.hpp"

namespace vfiolab::topology {
namespace {

// The dump that a device is made from; null when there is none.
NamedFile* DumpOf(DeviceDraft& device) {
  const auto it = device.dumps.find(std::string(kConfigDump));
  if (it == device.dumps.end() || !it->second || it->second->bytes.empty()) return nullptr;
  return &*it->second;
}

// The ids and BARs that the SR-IOV capability at `at` says virtual functions have.
void Complete(std::vector<std::byte>& bytes, const ConfigSpace& physical, u16 at) {
  ConfigSpace config(std::move(bytes));
  config.Set(PCI_VENDOR_ID, 2, physical.Get(PCI_VENDOR_ID, 2));
  config.Set(PCI_DEVICE_ID, 2, physical.Get(at + PCI_SRIOV_VF_DID, 2));
  for (unsigned i = 0; i < PCI_SRIOV_NUM_BARS; ++i)
    config.Set(PCI_BASE_ADDRESS_0 + 4 * i, 4, physical.Get(at + PCI_SRIOV_BAR + 4 * i, 4));
  bytes.assign(config.bytes().begin(), config.bytes().end());
}

}  // namespace

void CompleteVirtualFunctions(Draft& draft, ErrorList& errors) {
  for (std::size_t i = 0; i < draft.devices.size(); ++i) {
    DeviceDraft& device = draft.devices[i];
    if (!device.physical_function) continue;
    const std::string place = fmt::format("/devices/{}/physical_function", i);
    const std::string address = device.physical_function->ToString();
    const auto physical =
        std::ranges::find(draft.devices, device.physical_function, &DeviceDraft::bdf);
    if (physical == draft.devices.end() || physical->bdf == device.bdf) {
      errors.Add(place, fmt::format("there is no other device {}", address),
                 "give the address of the device whose virtual function this is");
      continue;
    }
    const NamedFile* dump = DumpOf(*physical);
    if (dump == nullptr && !physical->dumps.empty()) continue;  // it could not be read
    const ConfigSpace config(dump == nullptr ? std::vector<std::byte>(kConventionalConfigSize)
                                             : dump->bytes);
    const u16 at = config.FindExtendedCapability(PCI_EXT_CAP_ID_SRIOV);
    if (at == 0 || at + std::size_t{PCI_EXT_CAP_SRIOV_SIZEOF} > config.size() ||
        physical->physical_function) {
      errors.Add(place, fmt::format("{} has no SR-IOV capability", address),
                 "give the address of a replica of a device with SR-IOV");
      continue;
    }
    if (NamedFile* own = DumpOf(device)) Complete(own->bytes, config, at);
  }
}

}  // namespace vfiolab::topology
