// The IOMMU unit as the Intel driver shows it, and the groups that it makes.
#include <fmt/format.h>

#include <set>

#include "sysfs/parts.hpp"

namespace vfiolab::sysfs {
namespace {

// Register fields: Intel VT-d specification, "Register Descriptions".
constexpr u64 kDomainIdBits = 16;
constexpr u64 kDomainIds = (kDomainIdBits - 4) / 2;                       // CAP.ND
constexpr u64 kFaultRegisters = u64{0x22} << 24;                          // CAP.FRO
constexpr u64 kPageSelective = u64{1} << 39;                              // CAP.PSI
constexpr u64 kMaximumAddressMask = u64{18} << 48;                        // CAP.MAMV
constexpr u64 kDrains = u64{3} << 54;                                     // CAP.DWD, CAP.DRD
constexpr u64 kQueuedInvalidation = 1 << 1, kPassThrough = 1 << 6;        // ECAP.QI, .PT
constexpr u64 kCoherentTables = 1 << 0, kSnoopControl = 1 << 7;           // ECAP.C, .SC
constexpr u64 kInterruptRemapping = 1 << 3, kHandleMask = u64{15} << 20;  // ECAP.IR, .MHMV
constexpr u64 kIotlbRegisters = 0xf << 8;                                 // ECAP.IRO

u64 Capabilities(const Iommu& iommu) {
  u64 cap = kDomainIds | kFaultRegisters | kPageSelective | kMaximumAddressMask | kDrains;
  cap |= (u64{iommu.address_width - 1} & 0x3f) << 16;  // MGAW
  // SAGAW: tables of three, four and five levels, as many as the width needs.
  cap |= u64{1} << 9;
  if (iommu.address_width > 39) cap |= u64{1} << 10;
  if (iommu.address_width > 48) cap |= u64{1} << 11;
  // SLLPS: pages that are larger than 4 KiB.
  if (iommu.page_sizes & 2_MiB) cap |= u64{1} << 34;
  if (iommu.page_sizes & 1_GiB) cap |= u64{1} << 35;
  return cap;
}

u64 ExtendedCapabilities(const Iommu& iommu) {
  u64 ecap = kQueuedInvalidation | kPassThrough | kIotlbRegisters | kCoherentTables;
  if (iommu.coherent) ecap |= kSnoopControl;
  if (iommu.interrupt_isolation) ecap |= kInterruptRemapping | kHandleMask;
  return ecap;
}

// One that is reserved, one for each group with a domain of its own, one for each shared one.
std::size_t DomainsUsed(const Machine& machine) {
  std::set<const Ioas*> shared;
  std::size_t used = 1;
  for (const auto& [id, group] : machine.groups())
    if (group.ioas() == nullptr || shared.insert(&*group.ioas()).second) ++used;
  return used;
}

std::string_view KindName(ReservedKind kind) {
  switch (kind) {
    case ReservedKind::kReserved:
      return "reserved";
    case ReservedKind::kMsi:
      return "msi";
    case ReservedKind::kDirect:
      return "direct";
    case ReservedKind::kDirectRelaxable:
      return "direct-relaxable";
  }
  return "unknown";
}

std::string ReservedRegions(const Iommu& iommu) {
  std::string text;
  for (const auto& [range, kind] : iommu.reserved)
    text += fmt::format("{:#018x} {:#018x} {}\n", range.first, range.last, KindName(kind));
  return text;
}

void AddUnit(Tree& tree, const Machine& machine) {
  const std::string path(kIommuPath);
  const std::string registers = path + "/intel-iommu";
  tree.Line(registers + "/address", "fed90000");
  tree.Line(registers + "/version", "1:0");
  tree.Line(registers + "/cap", fmt::format("{:x}", Capabilities(machine.iommu())));
  tree.Line(registers + "/ecap", fmt::format("{:x}", ExtendedCapabilities(machine.iommu())));
  tree.Line(registers + "/domains_supported", std::to_string(1 << kDomainIdBits));
  tree.Text(registers + "/domains_used",
            [&machine] { return fmt::format("{}\n", DomainsUsed(machine)); });
  tree.Text(path + "/uevent", [] { return std::string(); });
  tree.Link(path + "/subsystem", "class/iommu");
  tree.MakeDirectory(path + "/devices");
  tree.Link("class/iommu/dmar0", path);
}

}  // namespace

void AddIommuGroup(Tree& tree, const Machine& machine, const IommuGroup& group) {
  const std::string path = GroupPath(group);
  tree.MakeFleeting(path);
  tree.MakeDirectory(path + "/devices");
  // Of the host's own domain: it does not change while VFIO has the group.
  tree.Line(path + "/type", machine.iommu().strict ? "DMA" : "DMA-FQ");
  tree.Text(path + "/reserved_regions", [&machine] { return ReservedRegions(machine.iommu()); });
}

void AddIommu(Tree& tree, const Machine& machine) {
  AddUnit(tree, machine);
  tree.MakeDirectory("kernel/iommu_groups");
  if (!machine.kernel().has_vfio()) return;
  for (const auto& [id, group] : machine.groups()) AddIommuGroup(tree, machine, group);
}

}  // namespace vfiolab::sysfs
