// docs/supported.md says of every ioctl whether it is there: it may not drift from the tables.
#include <linux/pci_regs.h>

#include <fstream>
#include <regex>
#include <set>

#include <catch2/catch.hpp>

#include "august/files.hpp"
#include "fake_devices/models.hpp"
#include "merge/device.hpp"
#include "merge/iommu_file.hpp"
#include "support/fake_environment.hpp"
#include "sysfs/sysfs.hpp"
#include "topology/build.hpp"
#include "topology/load.hpp"
#include "uiommu/device.hpp"
#include "vfio/capability_length.hpp"
#include "vfio/nodes.hpp"

using namespace vfiolab;

namespace {

std::vector<std::string> Lines() {
  std::ifstream file(VFIOLAB_SOURCE_DIR "/docs/supported.md");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The rows "| `NAME` | supported | ..." of the document.
std::set<std::string> Documented(std::string_view state) {
  std::set<std::string> names;
  for (const std::string& line : Lines()) {
    if (!line.starts_with("| `VFIO_")) continue;
    const std::size_t end = line.find('`', 3);
    const std::size_t bar = line.find('|', end);
    if (line.substr(bar + 2).starts_with(state)) names.insert(line.substr(3, end - 3));
  }
  return names;
}

// The ids in rows "| `PREFIX_NAME` | 0xNN | STATE |...".
std::set<unsigned> DocumentedIds(const std::string& prefix, std::string_view state) {
  std::set<unsigned> ids;
  for (const std::string& line : Lines()) {
    if (!line.starts_with("| `" + prefix)) continue;
    const std::size_t id = line.find('|', 2) + 2, bar = line.find('|', id);
    if (line.substr(bar + 2).starts_with(state))
      ids.insert(static_cast<unsigned>(std::stoul(line.substr(id), nullptr, 16)));
  }
  return ids;
}

// A config space with one capability at `at`, all of whose fields have some bit.
ConfigSpace WithCapability(std::size_t at, unsigned id, unsigned width) {
  constexpr std::size_t kMost = 64;
  ConfigSpace config(kExpressConfigSize);
  for (std::size_t i = 0; i < kMost; ++i) config.Set(at + i, 1, 0x10);
  config.Set(at, width, id);
  return config;
}

// The words in backquotes of what the section "## `/sys`" calls present, {a,b} written out, by
// their last component.
std::set<std::string> SysfsNames() {
  std::string section;
  bool inside = false;
  for (const std::string& line : Lines()) {
    if (inside && line == "Absent:") break;
    if (inside) section += line + "\n";
    inside |= line == "## `/sys`";
  }
  static const std::regex kQuoted("`([^`]+)`"), kBraces("([^`{]*)\\{([^}]*)\\}"), kName("[^,]+");
  std::set<std::string> names;
  const auto each = [](const std::string& text, const std::regex& what, auto&& act) {
    for (std::sregex_iterator it(text.begin(), text.end(), what), end; it != end; ++it) act(*it);
  };
  const auto add = [&](const std::string& path) { names.insert(path.substr(path.rfind('/') + 1)); };
  each(section, kQuoted, [&](const std::smatch& quoted) {
    const std::string text = quoted[1];
    std::smatch braces;
    if (!std::regex_search(text, braces, kBraces)) return add(text);
    const std::string before = braces[1], list = braces[2];
    each(list, kName, [&](const std::smatch& name) { add(before + name.str()); });
  });
  return names;
}

// Where the document has N.
std::string WithoutNumber(const std::string& name) {
  static const std::regex kNumber("[0-9]+$");
  return std::regex_replace(name, kNumber, "N");
}

// All names in the tree, and those of files alone.
void CollectNames(const Directory& directory, std::set<std::string>& all,
                  std::set<std::string>& files) {
  for (const auto& [name, node] : directory.entries()) {
    all.insert(name);
    if (dynamic_cast<const FileNode*>(node.get()) != nullptr) files.insert(name);
    if (const auto* below = dynamic_cast<const Directory*>(node.get()))
      CollectNames(*below, all, files);
  }
}

// Those of the machine of a topology.
void CollectNamesOf(const std::string& topology, std::set<std::string>& all,
                    std::set<std::string>& files) {
  const auto spec = topology::LoadFile(VFIOLAB_SOURCE_DIR + topology, fake_devices::Models());
  REQUIRE(spec);
  test::FakeEnvironment environment;
  Trace trace;
  Machine machine(environment, trace, spec->iommu, spec->kernel);
  REQUIRE(topology::Build(*spec, fake_devices::Models(), machine));
  vfio::Vfio vfio(machine);
  Directory sys;
  sysfs::AddSysfs(machine, sys, 2);
  CollectNames(sys, all, files);
}

}  // namespace

TEST_CASE("docs/supported.md calls exactly the capabilities supported that clients see") {
  constexpr std::size_t kAt = 0x40, kExtendedAt = 0x100;
  std::set<unsigned> seen, extended;
  for (unsigned id = 1; id < 0x100; ++id) {
    if (vfio::CapabilityLength(WithCapability(kAt, id, 1), kAt) != 0) seen.insert(id);
    if (vfio::ExtendedCapabilityLength(WithCapability(kExtendedAt, id, 2), kExtendedAt) != 0)
      extended.insert(id);
  }
  CHECK(DocumentedIds("PCI_CAP_ID", "supported") == seen);
  CHECK(DocumentedIds("PCI_EXT_CAP_ID", "supported") == extended);
}

TEST_CASE("docs/supported.md names every file of /sys, and no present one that is not there") {
  std::set<std::string> all, files, undocumented, missing;
  CollectNamesOf("/tests/referee/machines/variety/topology.json", all, files);
  CollectNamesOf("/topologies/platform.json", all, files);
  const std::set<std::string> documented = SysfsNames();
  for (const std::string& name : files)
    if (!documented.contains(name) && !documented.contains(WithoutNumber(name)))
      undocumented.insert(name);
  CHECK(undocumented == std::set<std::string>{});
  const auto is_placeholder = [](char c) { return c >= 'A' && c <= 'Z'; };
  for (const std::string& name : documented)
    if (std::ranges::none_of(name, is_placeholder) && !all.contains(name)) missing.insert(name);
  CHECK(missing == std::set<std::string>{});
}

TEST_CASE("docs/supported.md calls exactly the ioctls supported that the tables hold") {
  std::set<std::string> in_tables;
  for (const auto& names : {vfio::ContainerFile::IoctlNames(), vfio::GroupFile::IoctlNames(),
                            vfio::DeviceFile::IoctlNames(), vfio::PlatformDeviceFile::IoctlNames()})
    in_tables.insert(names.begin(), names.end());
  for (const uiommu::Revision& revision : uiommu::kRevisions)
    for (const auto& [name, number] : uiommu::DeviceFile::IoctlNumbers(revision))
      in_tables.insert(name);
  for (const merge::Revision& revision : merge::kRevisions)
    for (const auto& numbers :
         {merge::GroupFile::IoctlNumbers(revision), merge::IommuFile::IoctlNumbers(revision),
          merge::DeviceFile::IoctlNumbers(revision)})
      for (const auto& [name, number] : numbers) in_tables.insert(name);
  using Policies = AugustPolicies;
  const Policies all[] = {
      {.dma = Policies::Dma::kGroup, .regions = Policies::Regions::kDescriptors},
      {.dma = Policies::Dma::kUiommu}};
  for (const Policies& policies : all)
    for (const auto& numbers :
         {august::GroupFile::IoctlNumbers(policies), august::DeviceFile::IoctlNumbers(policies)})
      for (const auto& [name, number] : numbers) in_tables.insert(name);
  REQUIRE(!in_tables.empty());
  CHECK(Documented("supported") == in_tables);
}
