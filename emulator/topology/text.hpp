// How values are written in a topology file and in what is said about it.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json_fwd.hpp>

#include "base/bytes.hpp"
#include "topology/spec.hpp"

namespace vfiolab::topology {

// "4096", "0x1000" or "4K" (also M, G and T, powers of 1024). Nothing when it is written otherwise
// or needs more than 64 bits.
std::optional<u64> ParseNumber(std::string_view text);

// "4K", "2M", ... where that is exact, else decimal digits. ParseNumber reads it back.
std::string FormatSize(u64 bytes);

// The names the kernel gives these kinds in sysfs.
inline constexpr std::array<std::pair<ReservedKind, std::string_view>, 4> kReservedKinds = {{
    {ReservedKind::kReserved, "reserved"},
    {ReservedKind::kMsi, "msi"},
    {ReservedKind::kDirect, "direct"},
    {ReservedKind::kDirectRelaxable, "direct-relaxable"},
}};
std::string_view KindName(ReservedKind kind);
std::optional<ReservedKind> ParseKind(std::string_view name);

// As lspci names what ports can do of access control.
inline constexpr std::array<std::pair<AcsBits, std::string_view>, 7> kAcsNames = {{
    {PCI_ACS_SV, "SrcValid"},
    {PCI_ACS_TB, "TransBlk"},
    {PCI_ACS_RR, "ReqRedir"},
    {PCI_ACS_CR, "CmpltRedir"},
    {PCI_ACS_UF, "UpstreamFwd"},
    {PCI_ACS_EC, "EgressCtrl"},
    {PCI_ACS_DT, "DirectTrans"},
}};

// The three below make text from a file safe to print: printable ASCII only, and cut when long.
std::string Quote(std::string_view text);        // "text"
std::string Show(const nlohmann::json& value);   // scalars as JSON, else "an array", "an object"
std::string PointerToken(std::string_view key);  // one step of a JSON pointer, without the '/'

}  // namespace vfiolab::topology
