#include "topology/read.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "device/params.hpp"
#include "machine/pci_bus_type.hpp"
#include "machine/platform_bus_type.hpp"
#include "topology/bus_numbers.hpp"
#include "topology/edit_distance.hpp"
#include "topology/json_reader.hpp"
#include "topology/policies.hpp"
#include "topology/read_bridges.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

constexpr std::size_t kLongestDescription = 1000;

// Neither C0 nor DEL nor (in UTF-8) C1: what is shown to people must not steer their terminal.
bool HasControlCharacter(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0)
      return true;
  }
  return false;
}

// It becomes the name of directories and links in sysfs, beside files that are called otherwise.
bool IsPlatformName(const std::string& name) {
  constexpr std::array<std::string_view, 4> kTaken{"bind", "unbind", "module", "uevent"};
  return IsSysfsName(name, ".,-_:@") && !name.starts_with('.') && !Bdf::Parse(name) &&
         std::ranges::find(kTaken, name) == kTaken.end();
}

ReservedDraft ReadReserved(const JsonValue& value) {
  const JsonObject fields(value, {"first", "last", "kind"});
  ReservedDraft reserved;
  if (const auto first = fields.Need("first", "the first address of the range"))
    reserved.first = first->Number();
  if (const auto last = fields.Need("last", "the last address of the range"))
    reserved.last = last->Number();

  std::vector<std::string> kinds;
  kinds.reserve(kReservedKinds.size());
  for (const auto& [kind, name] : kReservedKinds) kinds.emplace_back(name);
  const auto kind = fields.Need("kind", "the kind of the range, like \"reserved\"");
  const auto name = kind ? kind->Text("a kind like \"reserved\"") : std::nullopt;
  if (!name) return reserved;
  reserved.kind = ParseKind(*name);
  if (!reserved.kind)
    kind->Report(fmt::format("no kind named {}", Quote(*name)),
                 [&] { return DidYouMean(*name, kinds, OneOf(kinds, "")); });
  return reserved;
}

void ReadIommu(const JsonValue& value, Draft& draft) {
  const JsonObject fields(value, {"address_width", "page_sizes", "reserved", "mapping_limit",
                                  "coherent", "interrupt_isolation", "strict"});
  Iommu& iommu = draft.iommu;
  Assign(iommu.address_width, ReadNumber(fields.Find("address_width"), unsigned{32}, unsigned{57}));
  Assign(iommu.mapping_limit, ReadNumber(fields.Find("mapping_limit"), u64{1}, u64{0xffffffff}));
  if (const auto flag = fields.Find("coherent")) Assign(iommu.coherent, flag->Flag());
  if (const auto flag = fields.Find("interrupt_isolation"))
    Assign(iommu.interrupt_isolation, flag->Flag());
  if (const auto flag = fields.Find("strict")) Assign(iommu.strict, flag->Flag());
  if (const auto sizes = fields.Find("page_sizes")) {
    std::vector<std::optional<u64>> list;
    if (sizes->Items("a list like [\"4K\", \"2M\"]",
                     [&](const JsonValue& size) { list.push_back(size.Number()); }))
      draft.page_sizes = std::move(list);
  }
  if (const auto ranges = fields.Find("reserved")) {
    draft.reserved.emplace();
    ranges->Items("a list of objects with \"first\", \"last\" and \"kind\"",
                  [&](const JsonValue& range) { draft.reserved->push_back(ReadReserved(range)); });
  }
}

void ReadKernelVersion(const JsonValue& value, Draft& draft) {
  const auto name = value.Text("a version like \"7.3\"");
  if (!name) return;
  const auto found = std::ranges::find(kKernelVersions, *name, &KernelVersion::name);
  if (found != kKernelVersions.end()) {
    draft.kernel.version = *found;
    return;
  }
  std::vector<std::string> names;
  for (const KernelVersion& version : kKernelVersions) names.emplace_back(version.name);
  value.Report(fmt::format("no kernel version {}", Quote(*name)), [&] { return OneOf(names, ""); });
}

void ReadApi(const JsonValue& value, Draft& draft) {
  const auto name = value.Text("a revision like \"A6\"");
  if (!name) return;
  const auto found = std::ranges::find(kEarlyApis, *name, &EarlyApi::name);
  if (found != kEarlyApis.end()) {
    draft.kernel.early_api = *found;
    return;
  }
  std::vector<std::string> names;
  for (const EarlyApi& api : kEarlyApis) names.emplace_back(api.name);
  value.Report(fmt::format("no revision {}", Quote(*name)), [&] { return OneOf(names, ""); });
}

void ReadKernel(const JsonValue& value, Draft& draft) {
  const JsonObject fields(value, {"version", "line_interrupts", "reset_required"});
  if (const auto version = fields.Find("version")) ReadKernelVersion(*version, draft);
  if (const auto flag = fields.Find("line_interrupts"))
    Assign(draft.kernel.line_interrupts, flag->Flag());
  if (const auto flag = fields.Find("reset_required"))
    Assign(draft.kernel.platform_reset_required, flag->Flag());
}

// `own` is what VFIO's driver is called on the bus, `other` what it is called on the other one.
std::string ReadDriver(const JsonValue& value, const Kernel& kernel, std::string_view own,
                       std::string_view other) {
  if (value.IsNull()) return "";
  const auto name =
      value.Text(fmt::format("a driver name like \"{}\", or null for no driver", own));
  if (name && !IsSysfsName(*name, "-_"))
    value.Refuse("a driver name", "1 to 64 letters, digits, '-' and '_', or null for no driver");
  if (name == other)
    value.Report(fmt::format("{} is on another bus", other), fmt::format("write \"{}\"", own));
  if (name == own && !kernel.has_vfio())
    value.Report(fmt::format("a machine with this api has no {}", own), "write \"vfio\"");
  return name.value_or("");
}

DeviceDraft ReadDevice(const JsonValue& value, Draft& draft) {
  const JsonObject fields(value, {"bdf", "model", "driver", "params", "rom", "physical_function",
                                  "reset", "acs", "dma_aliases"});
  DeviceDraft device;
  device.bdf = ReadBdf(fields.Need("bdf", kAddress), draft);
  if (!device.bdf) draft.addresses_known = false;
  if (const auto model = fields.Need("model", "the name of a device model, like \"edu\""))
    device.model = model->Text("the name of a device model, like \"edu\"");
  const auto driver = fields.Find("driver");
  device.driver = driver ? ReadDriver(*driver, draft.kernel, kVfioPci, kVfioPlatform)
                  : draft.kernel.has_vfio() ? std::string(kVfioPci)
                                            : std::string(kEarlyVfio);
  if (const auto rom = fields.Find("rom"))
    if (const auto file = rom->Text("the name of a file with a ROM"))
      device.rom = NamedFile{*file, {}};
  if (const auto flag = fields.Find("reset")) Assign(device.reset, flag->Flag());
  if (const auto physical = fields.Find("physical_function")) {
    device.physical_function = ReadBdf(physical, draft);
    if (!device.physical_function) draft.addresses_known = false;
  }
  if (const auto acs = fields.Find("acs")) device.acs = ReadAcs(*acs);
  if (const auto aliases = fields.Find("dma_aliases"))
    aliases->Items("a list of PCI addresses", [&](const JsonValue& alias) {
      device.dma_aliases.push_back(ReadBdf(alias, draft));
    });
  if (const auto params = fields.Find("params"))
    JsonObject(*params).ForEach([&](const std::string& name, const JsonValue& item) {
      if (name != kConfigDump && name != kWritableDump) {
        device.params.emplace(name, item.Number());
        return;
      }
      const auto file = item.Text("the name of a file with the output of `lspci -xxxx`");
      device.dumps.emplace(name, file ? std::optional(NamedFile{*file, {}}) : std::nullopt);
    });
  return device;
}

PlatformDraft ReadPlatform(const JsonValue& value, Draft& draft) {
  constexpr std::string_view kName = "a name like \"fe000000.copier\"";
  const JsonObject fields(value, {"name", "model", "driver", "params", "reset"});
  PlatformDraft device;
  if (const auto name = fields.Need("name", kName)) device.name = name->Text(kName);
  if (device.name && !IsPlatformName(*device.name)) {
    fields.Find("name")->Refuse(
        "a name of a platform device",
        "1 to 64 letters, digits and . , - _ : @, which are neither a PCI address nor taken");
    device.name.reset();
  }
  if (!device.name) draft.names_known = false;
  if (const auto model = fields.Need("model", "the name of a device model, like \"copier\""))
    device.model = model->Text("the name of a device model, like \"copier\"");
  const auto driver = fields.Find("driver");
  device.driver = driver ? ReadDriver(*driver, draft.kernel, kVfioPlatform, kVfioPci)
                  : draft.kernel.has_vfio() ? std::string(kVfioPlatform)
                                            : std::string(kEarlyVfio);
  if (const auto flag = fields.Find("reset")) Assign(device.reset, flag->Flag());
  if (const auto params = fields.Find("params"))
    JsonObject(*params).ForEach([&](const std::string& name, const JsonValue& item) {
      device.params.emplace(name, item.Number());
    });
  return device;
}

std::optional<MemberDraft> ReadMember(const JsonValue& value, const Draft& draft) {
  if (draft.platform.empty()) {
    const auto bdf = ReadBdf(value, draft);
    return bdf ? std::optional<MemberDraft>(*bdf) : std::nullopt;
  }
  const auto text = value.Text("a PCI address or the name of a platform device");
  if (!text) return std::nullopt;
  if (std::ranges::find(draft.platform, *text, &PlatformDraft::name) != draft.platform.end())
    return *text;
  if (const auto bdf = ParseAddress(*text, draft)) return *bdf;
  if (draft.names_known)
    value.Report(fmt::format("{} is neither a PCI address nor a platform device", Quote(*text)),
                 [&] {
                   std::vector<std::string> names;
                   for (const PlatformDraft& device : draft.platform) names.push_back(*device.name);
                   return DidYouMean(*text, names, OneOf(names, ""));
                 });
  return std::nullopt;
}

GroupDraft ReadGroup(const JsonValue& value, Draft& draft) {
  const JsonObject fields(value, {"id", "members"});
  GroupDraft group;
  group.id = ReadNumber(fields.Need("id", "a number for the group"), unsigned{0}, kMaxGroupId);
  const auto members = fields.Need("members", "a list of PCI addresses");
  const bool is_list =
      members && members->Items("a list of PCI addresses", [&](const JsonValue& member) {
        group.members.push_back(ReadMember(member, draft));
        if (!group.members.back()) draft.members_known = false;
      });
  if (is_list && members->size() == 0)
    members->Report("the group is empty", "add a device, or remove the group");
  if (!is_list) draft.members_known = false;
  return group;
}

// Reads the array `value`; false when it is none or holds too many to look at.
template <class T, class ReadItem>
bool ReadList(const JsonValue& value, std::size_t most, std::vector<T>& list, Draft& draft,
              ReadItem read) {
  const std::string wanted = fmt::format("a list of {}", value.pointer().substr(1));
  std::size_t count = 0;
  const bool is_list = value.Items(wanted, [&](const JsonValue& item) {
    if (count++ < most) list.push_back(read(item, draft));
  });
  if (count > most)
    value.Report(fmt::format("{} {}", count, value.pointer().substr(1)),
                 fmt::format("a topology holds at most {}", most));
  return is_list && count <= most;
}

std::string ReadText(const std::optional<JsonValue>& value, std::size_t longest) {
  const auto text = value ? value->Text("text in double quotes") : std::nullopt;
  if (!text) return "";
  if (text->size() > longest)
    value->Report(fmt::format("{} bytes of text", text->size()),
                  fmt::format("give at most {}", longest));
  else if (HasControlCharacter(*text))
    value->Refuse("one line of plain text", "it without line breaks and control characters");
  return *text;
}

void ReadLists(const JsonObject& fields, Draft& draft, ErrorList& errors) {
  if (const auto bridges = fields.Find("bridges"))
    draft.addresses_known &= ReadList(*bridges, kMaxDevices, draft.bridges, draft, ReadBridge);
  AssignBuses(draft, errors);
  const auto devices = fields.Need("devices", "a list of devices, which may be empty");
  draft.addresses_known &=
      devices && ReadList(*devices, kMaxDevices, draft.devices, draft, ReadDevice);
  if (const auto platform = fields.Find("platform")) {
    draft.names_known &= ReadList(*platform, kMaxDevices, draft.platform, draft, ReadPlatform);
    if (!draft.platform.empty() && !draft.kernel.has_platform_devices())
      platform->Report("a machine with this api has no platform devices",
                       "remove them, or \"api\"");
  }
  const auto groups = fields.Find("groups");
  draft.derives_groups = !groups;
  draft.members_known &=
      groups && ReadList(*groups, kMaxGroupId + 1, draft.groups, draft, ReadGroup);
}

}  // namespace

bool IsTopologyName(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && !HasControlCharacter(name) &&
         name.find('/') == std::string_view::npos;
}

Draft Read(const nlohmann::json& root, ErrorList& errors) {
  Draft draft;
  const JsonObject fields(JsonValue(root, "", errors),
                          {"$schema", "name", "description", "api", "policies", "kernel", "iommu",
                           "bridges", "devices", "platform", "groups"});
  ReadText(fields.Find("$schema"), kLongestDescription);  // for editors only
  if (const auto name = fields.Find("name")) {
    const auto text = name->Text("a name like \"edu\"");
    if (text && !IsTopologyName(*text))
      name->Refuse("a name", "1 to 64 bytes without '/' and control characters");
    draft.name = text.value_or("");
  }
  draft.description = ReadText(fields.Find("description"), kLongestDescription);
  if (const auto api = fields.Find("api")) ReadApi(*api, draft);
  if (const auto policies = fields.Find("policies")) {
    draft.kernel.policies = ReadPolicies(*policies);
    if (draft.kernel.early_api_name() != kAugustApi)
      policies->Report("only proposals of August 2011 have policies", "write \"api\": \"A-aug\"");
  }
  if (const auto kernel = fields.Find("kernel")) ReadKernel(*kernel, draft);
  if (const auto iommu = fields.Find("iommu")) ReadIommu(*iommu, draft);
  ReadLists(fields, draft, errors);
  return draft;
}

}  // namespace vfiolab::topology
