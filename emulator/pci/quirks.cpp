#include "pci/quirks.hpp"

#include <linux/pci.h>

#include <algorithm>
#include <array>

#include "pci/express_capability.hpp"

namespace vfiolab {
namespace {

constexpr u16 kIntel = 0x8086;

// Devices `first` to `last` of a vendor.
struct IdRange {
  u16 vendor, first, last;
};

bool Holds(const auto& ranges, const FunctionIds& ids) {
  return std::ranges::any_of(ranges, [&](const IdRange& range) {
    return range.vendor == ids.vendor && range.first <= ids.device && ids.device <= range.last;
  });
}

constexpr IdRange One(u16 vendor, u16 device) { return {vendor, device, device}; }

// Functions of one device that their makers say do not talk to each other.
constexpr std::array kSeparateFunctions = {
    One(0x1924, 0x0903),
    One(0x1924, 0x0923),
    One(0x1924, 0x0a03),
    One(kIntel, 0x10c6),
    One(kIntel, 0x10db),
    One(kIntel, 0x10dd),
    One(kIntel, 0x10e1),
    One(kIntel, 0x10f1),
    IdRange{kIntel, 0x10f7, 0x10fc},
    One(kIntel, 0x1507),
    One(kIntel, 0x1514),
    One(kIntel, 0x151c),
    One(kIntel, 0x1529),
    One(kIntel, 0x152a),
    One(kIntel, 0x154d),
    One(kIntel, 0x154f),
    One(kIntel, 0x1551),
    One(kIntel, 0x1558),
    // 82580
    One(kIntel, 0x1509),
    IdRange{kIntel, 0x150e, 0x1511},
    One(kIntel, 0x1516),
    One(kIntel, 0x1527),
    // 82576
    One(kIntel, 0x10c9),
    IdRange{kIntel, 0x10e6, 0x10e8},
    One(kIntel, 0x150a),
    One(kIntel, 0x150d),
    One(kIntel, 0x1518),
    One(kIntel, 0x1526),
    // 82575
    One(kIntel, 0x10a7),
    One(kIntel, 0x10a9),
    One(kIntel, 0x10d6),
    // I350
    IdRange{kIntel, 0x1521, 0x1524},
    // 82571
    IdRange{kIntel, 0x105e, 0x1060},
    One(kIntel, 0x10d9),
    // I219
    IdRange{kIntel, 0x15b7, 0x15b8},
    One(0x19a2, 0x0710),
    One(0x10df, 0x0720),
    One(0x177d, 0xa026),
    One(0x177d, 0xa059),
    One(0x177d, 0xa060),
    One(0x14e4, 0x16d7),
    IdRange{0x14e4, 0x1750, 0x1752},
    IdRange{0x14e4, 0x1760, 0x1763},
    One(0x1d17, 0x3038),
    One(0x1d17, 0x3104),
    One(0x1d17, 0x9083),
};

// Ports that isolate, whatever they say of it.
constexpr std::array kIsolatingPorts = {
    // Qualcomm and HXT
    IdRange{0x17cb, 0x0400, 0x0401},
    One(0x17cb, 0x0115),
    One(0x17cb, 0x0111),
    One(0x17cb, 0x0120),
    One(0x1dbf, 0x0401),
    // X-Gene and Ampere
    One(0x10e8, 0xe004),
    IdRange{0x1def, 0xe005, 0xe00c},
    One(0x14e4, 0xd714),
    // Loongson
    One(0x0014, 0x3c09),
    One(0x0014, 0x3c19),
    One(0x0014, 0x3c29),
    One(0x0014, 0x7a09),
    One(0x0014, 0x7a19),
    One(0x0014, 0x7a29),
    One(0x0014, 0x7a39),
    One(0x0014, 0x7a49),
    One(0x0014, 0x7a59),
    One(0x0014, 0x7a69),
    // NXP
    IdRange{0x1957, 0x8d80, 0x8d83},
    IdRange{0x1957, 0x8d88, 0x8d8b},
    IdRange{0x1957, 0x8d90, 0x8d93},
    IdRange{0x1957, 0x8d98, 0x8d9b},
    IdRange{0x1957, 0x8da0, 0x8da1},
    One(0x1957, 0x8da9),
    IdRange{0x1957, 0x8db0, 0x8db1},
    One(0x1957, 0x8db9),
};

// Root ports of chipsets whose registers elsewhere let Linux isolate them.
constexpr std::array kIntelChipsetPorts = {
    IdRange{kIntel, 0x3b42, 0x3b51},
    IdRange{kIntel, 0x1c10, 0x1c1f},
    IdRange{kIntel, 0x1e10, 0x1e1f},
    IdRange{kIntel, 0x8c10, 0x8c1f},
    IdRange{kIntel, 0x9c10, 0x9c1b},
    IdRange{kIntel, 0x9c90, 0x9c9b},
    IdRange{kIntel, 0x8d10, 0x8d1e},
    // Of these only each second one.
    One(kIntel, 0x1d10),
    One(kIntel, 0x1d12),
    One(kIntel, 0x1d14),
    One(kIntel, 0x1d16),
    One(kIntel, 0x1d18),
    One(kIntel, 0x1d1a),
    One(kIntel, 0x1d1c),
    One(kIntel, 0x1d1e),
    One(kIntel, 0x8c90),
    One(kIntel, 0x8c92),
    One(kIntel, 0x8c94),
    One(kIntel, 0x8c96),
    One(kIntel, 0x8c98),
    One(kIntel, 0x8c9a),
    One(kIntel, 0x8c9c),
    One(kIntel, 0x8c9e),
};

// Root ports that have the registers of their capability twice as wide as they should be.
constexpr std::array kWideRegisterPorts = {
    IdRange{kIntel, 0xa110, 0xa11f}, IdRange{kIntel, 0xa167, 0xa16a},
    IdRange{kIntel, 0xa290, 0xa29f}, IdRange{kIntel, 0xa2e7, 0xa2ee},
    IdRange{kIntel, 0x9d10, 0x9d1b},
};

constexpr std::array kCaviumRootPorts = {IdRange{0x177d, 0xa000, 0xa7ff}, One(0x177d, 0xaf84),
                                         One(0x177d, 0xb884)};

constexpr u16 kZhaoxin = 0x1d17, kWangxun = 0x8088, kCavium = 0x177d;
constexpr std::array kZhaoxinPorts = {IdRange{kZhaoxin, 0x0710, 0x071e}, One(kZhaoxin, 0x0721),
                                      IdRange{kZhaoxin, 0x0723, 0x0752}};
constexpr std::array kWangxunFunctions = {IdRange{kWangxun, 0x0100, 0x010f},
                                          One(kWangxun, 0x1001),
                                          One(kWangxun, 0x2001),
                                          One(kWangxun, 0x5010),
                                          One(kWangxun, 0x5025),
                                          One(kWangxun, 0x5040),
                                          One(kWangxun, 0x5110),
                                          One(kWangxun, 0x5125),
                                          One(kWangxun, 0x5140)};

std::optional<bool> IsolatesAsWide(const ConfigSpace& config) {
  const u16 at = config.FindExtendedCapability(PCI_EXT_CAP_ID_ACS);
  if (at == 0 || at + std::size_t{12} > config.size()) return std::nullopt;
  const u32 wanted = kIsolatingAcs & config.Get(at + PCI_ACS_CAP, 4);
  return (config.Get(at + PCI_ACS_CAP + 4u, 4) & wanted) == wanted;
}

constexpr std::array kFunction0Requesters = {One(0x1180, 0xe832), One(0x1180, 0xe476),
                                             IdRange{0x6766, 0x3d40, 0x3d41}};
constexpr std::array kFunction1Requesters = {
    One(0x1b4b, 0x9120), One(0x1b4b, 0x9123), One(0x1b4b, 0x9125), One(0x1b4b, 0x9128),
    One(0x1b4b, 0x9130), One(0x1b4b, 0x9170), One(0x1b4b, 0x9172), One(0x1b4b, 0x917a),
    One(0x1b4b, 0x9182), One(0x1b4b, 0x9183), One(0x1b4b, 0x91a0), One(0x1b4b, 0x9215),
    One(0x1b4b, 0x9220), One(0x1b4b, 0x9230), One(0x1b4b, 0x9235), One(0x1103, 0x0642),
    One(0x1103, 0x0645), One(0x197b, 0x2392), One(0x1c28, 0x0122),
};
constexpr std::array kCoprocessors = {One(kIntel, 0x2260), One(kIntel, 0x2264)};
constexpr std::array kVisualComputeSwitches = {IdRange{kIntel, 0x2954, 0x2956},
                                               IdRange{kIntel, 0x2958, 0x295a}};
constexpr std::array kAnyRequesters = {IdRange{0x10b5, 0x87b0, 0x87b1}};

}  // namespace

std::optional<bool> IsolatesByQuirk(const FunctionIds& ids, const ConfigSpace& config) {
  const auto type = ExpressType(config);
  const bool root_port = type == PCI_EXP_TYPE_ROOT_PORT;
  if (Holds(kSeparateFunctions, ids) || Holds(kIsolatingPorts, ids)) return true;
  if (ids.vendor == kIntel && type == PCI_EXP_TYPE_RC_END) return true;
  if (root_port && Holds(kIntelChipsetPorts, ids)) return true;
  if (root_port && Holds(kWideRegisterPorts, ids)) return IsolatesAsWide(config);
  if (root_port && ids.vendor == kCavium && Holds(kCaviumRootPorts, ids)) return true;
  if (root_port && ids.vendor == 0x1c36 && ids.device == 0x0031) return true;
  if (ids.vendor == kZhaoxin && (root_port || type == PCI_EXP_TYPE_DOWNSTREAM))
    return Holds(kZhaoxinPorts, ids);
  if (ids.vendor == kWangxun) return Holds(kWangxunFunctions, ids);
  return std::nullopt;
}

Devfns AliasesByQuirk(const FunctionIds& ids, Bdf bdf) {
  Devfns aliases;
  const auto beside = [&](u8 function) { return PCI_DEVFN(bdf.device, function); };
  if (Holds(kFunction0Requesters, ids) && bdf.function != 0) aliases.set(beside(0));
  if (Holds(kFunction1Requesters, ids) && bdf.function != 1) aliases.set(beside(1));
  const bool adaptec = ids.vendor == 0x9005 && ids.device == 0x0285 &&
                       ids.subsystem_vendor == 0x9005 &&
                       (ids.subsystem_device == 0x02bb || ids.subsystem_device == 0x02bc);
  if (adaptec) aliases.set(PCI_DEVFN(1, 0));
  if (Holds(kCoprocessors, ids))
    for (const unsigned devfn : {PCI_DEVFN(0x10, 0), PCI_DEVFN(0x11, 0), PCI_DEVFN(0x12, 3)})
      aliases.set(devfn);
  if (Holds(kVisualComputeSwitches, ids))
    for (unsigned slot = 0; slot < 32; ++slot)
      for (unsigned function = 0; function < 5; ++function) aliases.set(PCI_DEVFN(slot, function));
  if (Holds(kAnyRequesters, ids)) aliases.set();
  return aliases;
}

bool DoesNotAlias(const FunctionIds& ids) { return ids.vendor == 0x1a03 && ids.device == 0x1150; }

bool IsTranslationRoot(const FunctionIds& ids) {
  return ids.vendor == 0x14e4 && (ids.device == 0x9000 || ids.device == 0x9084);
}

}  // namespace vfiolab
