// SR-IOV as sysfs shows and takes it (drivers/pci/iov.c).
#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>

#include "sysfs/number.hpp"
#include "sysfs/parts.hpp"
#include "sysfs/waiting.hpp"

namespace vfiolab::sysfs {
namespace {

u32 SriovRegister(const DeviceSlot& slot, unsigned at) {
  return slot.config().Get(slot.config().FindExtendedCapability(PCI_EXT_CAP_ID_SRIOV) + at, 2);
}

// sriov_numvfs_store.
Reply SetNumber(DeviceSlot& slot, std::string_view text) {
  const auto count = ParseNumber(text);
  if (!count || *count > 0xffff) return Fail(EINVAL, "not a number of functions");
  const u32 most = SriovRegister(slot, PCI_SRIOV_TOTAL_VF);
  if (*count > most) return Fail(ERANGE, fmt::format("{} of at most {}", *count, most));
  return WriteThatWaits(static_cast<long>(text.size()), [&](auto done) {
    slot.machine().pci_bus().SetVirtualFunctions(slot, static_cast<unsigned>(*count),
                                                 std::move(done));
  });
}

std::string NameOf(const PciFunction& physical, const PciFunction& function) {
  const auto& virtuals = physical.slot->virtual_functions();
  return fmt::format("{}/virtfn{}", physical.path,
                     std::ranges::find(virtuals, function.slot) - virtuals.begin());
}

}  // namespace

void AddSriov(Tree& tree, const PciFunction& function) {
  DeviceSlot& slot = *function.slot;
  const auto add = [&](std::string_view name, std::string value) {
    tree.Line(fmt::format("{}/sriov_{}", function.path, name), std::move(value));
  };
  add("totalvfs", std::to_string(SriovRegister(slot, PCI_SRIOV_TOTAL_VF)));
  tree.Writable(
      function.path + "/sriov_numvfs",
      [&slot] { return fmt::format("{}\n", slot.machine().pci_bus().CountVirtualFunctions(slot)); },
      [&slot](std::string_view text) { return SetNumber(slot, text); });
  add("offset", std::to_string(SriovRegister(slot, PCI_SRIOV_VF_OFFSET)));
  add("stride", std::to_string(SriovRegister(slot, PCI_SRIOV_VF_STRIDE)));
  add("vf_device", fmt::format("{:x}", SriovRegister(slot, PCI_SRIOV_VF_DID)));
  add("drivers_autoprobe", "1");
}

void LinkVirtualFunction(Tree& tree, const PciFunction& physical, const PciFunction& function) {
  tree.Link(NameOf(physical, function), function.path);
  tree.Link(function.path + "/physfn", physical.path);
}

void UnlinkVirtualFunction(Tree& tree, const PciFunction& physical, const PciFunction& function) {
  tree.Remove(NameOf(physical, function));
  tree.Remove(function.path + "/physfn");
}

}  // namespace vfiolab::sysfs
