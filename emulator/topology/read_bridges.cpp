#include "topology/read_bridges.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "topology/edit_distance.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

// "NAME/DD.F" in its two parts; nothing when it is not so.
struct RelativeAddress {
  std::string behind;
  Bdf bdf;  // device and function
};

std::optional<RelativeAddress> ParseRelative(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto bdf = Bdf::Parse("0000:00:" + std::string(text.substr(slash + 1)));
  if (!bdf) return std::nullopt;
  return RelativeAddress{std::string(text.substr(0, slash)), *bdf};
}

bool RefuseAddress(const JsonValue& value) {
  return value.Refuse("a PCI address", "segment:bus:device.function like \"0000:01:00.0\"");
}

void ReadBridgeAddress(const std::optional<JsonValue>& value, BridgeDraft& bridge) {
  const auto text = value ? value->Text(kAddress) : std::nullopt;
  if (!text) return;
  if (const auto relative = ParseRelative(*text)) {
    bridge.behind = relative->behind;
    bridge.bdf = relative->bdf;
    return;
  }
  bridge.bdf = Bdf::Parse(*text);
  if (!bridge.bdf) RefuseAddress(*value);
}

std::optional<BridgeKind> ReadKind(const JsonValue& value) {
  const auto name = value.Text("a kind like \"root-port\"");
  if (!name) return std::nullopt;
  std::vector<std::string> names;
  for (const auto& [kind, kind_name] : kBridgeKinds) {
    if (kind_name == *name) return kind;
    names.emplace_back(kind_name);
  }
  value.Report(fmt::format("no kind of bridge is named {}", Quote(*name)),
               [&] { return DidYouMean(*name, names, OneOf(names, "")); });
  return std::nullopt;
}

std::optional<AcsBits> ReadAcsName(const JsonValue& value) {
  const auto name = value.Text("a name like \"SrcValid\"");
  if (!name) return std::nullopt;
  std::vector<std::string> names;
  for (const auto& [bit, bit_name] : kAcsNames) {
    if (bit_name == *name) return bit;
    names.emplace_back(bit_name);
  }
  value.Report(fmt::format("access control knows no {}", Quote(*name)),
               [&] { return DidYouMean(*name, names, OneOf(names, "")); });
  return std::nullopt;
}

std::optional<WindowDraft> ReadWindow(const std::optional<JsonValue>& value, u64 last) {
  if (!value) return std::nullopt;
  const JsonObject fields(*value, {"first", "last"});
  WindowDraft window;
  if (const auto first = fields.Need("first", "the first address of the window"))
    window.first = first->Number(0, last);
  if (const auto end = fields.Need("last", "the last address of the window"))
    window.last = end->Number(0, last);
  return window;
}

}  // namespace

bool IsSysfsName(std::string_view name, std::string_view others) {
  return !name.empty() && name.size() <= kLongestName &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  others.find(c) != others.npos;
         });
}

std::optional<Bdf> ParseAddress(std::string_view text, const Draft& draft) {
  const auto relative = ParseRelative(text);
  if (!relative) return Bdf::Parse(text);
  const auto bus = draft.buses.find(relative->behind);
  if (bus == draft.buses.end() || !bus->second) return std::nullopt;
  const auto [segment, number] = *bus->second;
  return Bdf{segment, number, relative->bdf.device, relative->bdf.function};
}

std::optional<Bdf> ReadBdf(const std::optional<JsonValue>& value, const Draft& draft) {
  const auto text = value ? value->Text(kAddress) : std::nullopt;
  if (!text) return std::nullopt;
  const auto bdf = ParseAddress(*text, draft);
  if (bdf) return bdf;
  const auto relative = ParseRelative(*text);
  if (!relative) {
    RefuseAddress(*value);
  } else if (!draft.buses.contains(relative->behind)) {
    value->Report(fmt::format("no bridge is named {}", Quote(relative->behind)), [&] {
      std::vector<std::string> names;
      for (const auto& [name, bus] : draft.buses) names.push_back(name);
      return DidYouMean(relative->behind, names, OneOf(names, "give a bridge that \"name\""));
    });
  }
  return std::nullopt;
}

std::optional<AcsBits> ReadAcs(const JsonValue& value) {
  if (value.IsFlag()) return *value.Flag() ? std::optional(kUsualAcs) : std::nullopt;
  AcsBits bits = 0;
  if (!value.Items("true, false, or a list of names like \"SrcValid\"",
                   [&](const JsonValue& name) { bits |= ReadAcsName(name).value_or(0); }))
    return std::nullopt;
  return bits;
}

BridgeDraft ReadBridge(const JsonValue& value, Draft& draft) {
  const JsonObject fields(
      value, {"bdf", "name", "kind", "secondary_bus", "subordinate_bus", "acs", "vendor_id",
              "device_id", "memory", "prefetchable", "io", "reports_link"});
  BridgeDraft bridge;
  ReadBridgeAddress(fields.Need("bdf", kAddress), bridge);
  if (!bridge.bdf) draft.addresses_known = false;
  if (const auto name = fields.Find("name"))
    if (const auto text = name->Text("a name like \"port1\"")) {
      bridge.name = *text;
      if (!IsSysfsName(*text, "-_")) name->Refuse("a name", "1 to 64 letters, digits, '-' and '_'");
    }
  if (const auto kind = fields.Find("kind")) bridge.kind = ReadKind(*kind);
  bridge.secondary_bus = ReadNumber(fields.Find("secondary_bus"), u8{1}, u8{255});
  bridge.subordinate_bus = ReadNumber(fields.Find("subordinate_bus"), u8{1}, u8{255});
  if (const auto acs = fields.Find("acs")) bridge.acs = ReadAcs(*acs);
  bridge.vendor_id = ReadNumber(fields.Find("vendor_id"), u16{0}, u16{0xfffe});
  bridge.device_id = ReadNumber(fields.Find("device_id"), u16{0}, u16{0xffff});
  bridge.memory = ReadWindow(fields.Find("memory"), 0xffffffff);
  bridge.prefetchable = ReadWindow(fields.Find("prefetchable"), ~u64{0});
  bridge.io = ReadWindow(fields.Find("io"), 0xffff);
  if (const auto flag = fields.Find("reports_link")) Assign(bridge.reports_link, flag->Flag());
  return bridge;
}

}  // namespace vfiolab::topology
