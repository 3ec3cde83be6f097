#include <filesystem>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "topology/show.hpp"
#include "topology_models.hpp"

namespace vfiolab::topology {
namespace {

constexpr std::string_view kFull = R"({
  "$schema": "schema.json",
  "name": "full",
  "description": "uses every key",
  "api": "A-jul",
  "kernel": {"version": "6.12", "line_interrupts": false},
  "iommu": {
    "address_width": "39",
    "page_sizes": ["2M", 4096],
    "reserved": [
      {"first": "0xfee00000", "last": "0xfeefffff", "kind": "msi"},
      {"first": 0, "last": "0xfff", "kind": "direct-relaxable"},
      {"first": "0xfffffffffffff000", "last": 18446744073709551615, "kind": "reserved"}
    ],
    "mapping_limit": "64K",
    "coherent": false,
    "interrupt_isolation": false,
    "strict": true
  },
  "bridges": [
    {"bdf": "0000:01:00.0", "secondary_bus": "0x2"},
    {"bdf": "00:1c.0", "secondary_bus": 1, "subordinate_bus": 3, "reports_link": false}
  ],
  "devices": [
    {"bdf": "0000:02:00.1", "model": "scratch", "driver": null},
    {"bdf": "0000:02:00.0", "model": "pci-testdev", "driver": "nvme", "params": {"membar": "64K"}},
    {"bdf": "0001:00:00.0", "model": "edu"}
  ],
  "groups": [
    {"id": 9, "members": ["0001:00:00.0"]},
    {"id": "0x8", "members": ["02:00.1", "01:00.0", "02:00.0"]}
  ]
})";

// A topology with `key` set to `value`, both as JSON, in the object at `pointer` of a small file.
std::string With(const std::string& pointer, const std::string& key, const std::string& value) {
  nlohmann::json root = nlohmann::json::parse(R"({
    "kernel": {},
    "iommu": {},
    "bridges": [{"bdf": "0000:00:1c.0", "secondary_bus": 1}],
    "devices": [{"bdf": "0000:01:00.0", "model": "edu"}],
    "platform": [{"name": "fe000000.copier", "model": "copier"}],
    "groups": [{"id": 1, "members": ["0000:01:00.0", "fe000000.copier"]}]
  })");
  root[nlohmann::json::json_pointer(pointer)][key] = nlohmann::json::parse(value);
  return root.dump();
}

}  // namespace

TEST_CASE("every key of a topology file reaches the spec, sorted", "[topology]") {
  const TopologySpec spec = Loaded(kFull);
  CHECK(spec.name == "full");
  CHECK(spec.description == "uses every key");
  CHECK(spec.kernel.version.name == "6.12");
  CHECK_FALSE(spec.kernel.line_interrupts);
  CHECK(spec.kernel.early_api_name() == "A-jul");
  CHECK(spec.iommu.address_width == 39);
  CHECK(spec.iommu.page_sizes == (4_KiB | 2_MiB));
  CHECK(spec.iommu.mapping_limit == 65536);
  CHECK_FALSE(spec.iommu.coherent);
  CHECK_FALSE(spec.iommu.interrupt_isolation);
  CHECK(spec.iommu.strict);
  CHECK(spec.iommu.reserved ==
        std::vector<ReservedRegion>{{{0, 0xfff}, ReservedKind::kDirectRelaxable},
                                    {{0xfee00000, 0xfeefffff}, ReservedKind::kMsi},
                                    {{~u64{0xfff}, ~u64{0}}, ReservedKind::kReserved}});
  const Bdf root_port{0, 0, 0x1c, 0};
  const Bdf bridge{0, 1, 0, 0};
  const Bdf testdev{0, 2, 0, 0};
  const Bdf scratch{0, 2, 0, 1};
  const Bdf edu{1, 0, 0, 0};
  CHECK(spec.bridges == std::vector<BridgeSpec>{{.bdf = root_port,
                                                 .secondary_bus = 1,
                                                 .subordinate_bus = 3,
                                                 .acs = kUsualAcs,
                                                 .reports_link = false},
                                                {.bdf = bridge,
                                                 .kind = BridgeKind::kUpstreamPort,
                                                 .ids = UsualIds(BridgeKind::kUpstreamPort),
                                                 .secondary_bus = 2,
                                                 .subordinate_bus = 2}});
  CHECK(spec.devices ==
        std::vector<DeviceSpec>{{testdev, "pci-testdev", "nvme", {{"membar", 65536}}},
                                {scratch, "scratch", "", {}},
                                {edu, "edu", "vfio-pci", {}}});
  CHECK(spec.groups == std::vector<GroupSpec>{{8, {bridge, testdev, scratch}}, {9, {edu}}});
}

TEST_CASE("all but devices and groups has a default", "[topology]") {
  const auto loaded = Load(R"({"devices": [], "groups": []})", "some/where/box.json", kModels);
  REQUIRE(loaded);
  TopologySpec expected;
  expected.name = "box";
  CHECK(*loaded == expected);
  CHECK(loaded->iommu.page_sizes == (4_KiB | 2_MiB | 1_GiB));
  CHECK(loaded->iommu.reserved ==
        std::vector<ReservedRegion>{{{0xfee00000, 0xfeefffff}, ReservedKind::kMsi}});
  CHECK(Loaded(R"({"devices": [], "groups": [], "iommu": {}})").iommu == expected.iommu);
}

TEST_CASE("an empty list of reserved ranges is not the default one", "[topology]") {
  CHECK(Loaded(With("/iommu", "reserved", "[]")).iommu.reserved.empty());
}

TEST_CASE("a file whose own name would not do is called topology", "[topology]") {
  for (const char* file_name : {"", "\x1b[31m.json",
                                "gr\xc3\xb6\xc3\x9f"
                                "e.json"}) {
    const auto loaded = Load(R"({"devices": [], "groups": []})", file_name, kModels);
    REQUIRE(loaded);
    CHECK(loaded->name == "topology");
  }
}

TEST_CASE("numbers at the ends of their ranges are taken", "[topology]") {
  const std::vector<std::array<std::string, 3>> good = {
      {"/iommu", "address_width", "32"},
      {"/iommu", "address_width", "57"},
      {"/iommu", "mapping_limit", "1"},
      {"/iommu", "mapping_limit", "4294967295"},
      {"/bridges/0", "subordinate_bus", "255"},
      {"/groups/0", "id", "0"},
      {"/groups/0", "id", "1048575"},
      {"/devices/0", "params", R"({"dma_mask_bits": 12})"},
      {"/devices/0", "params", R"({"dma_mask_bits": 64})"},
  };
  for (const auto& [pointer, key, value] : good)
    CHECK(Complaints(With(pointer, key, value)).empty());
}

TEST_CASE("numbers just beyond their ranges are refused", "[topology]") {
  const std::vector<std::array<std::string, 3>> bad = {
      {"/iommu", "address_width", "31"},
      {"/iommu", "address_width", "58"},
      {"/iommu", "mapping_limit", "0"},
      {"/iommu", "mapping_limit", "4294967296"},
      {"/bridges/0", "subordinate_bus", "256"},
      {"/bridges/0", "secondary_bus", "0"},
      {"/groups/0", "id", "-1"},
      {"/groups/0", "id", "1048576"},
      {"/devices/0", "params", R"({"dma_mask_bits": 11})"},
      {"/devices/0", "params", R"({"dma_mask_bits": 65})"},
  };
  for (const auto& [pointer, key, value] : bad)
    CHECK_THAT(Complaints(With(pointer, key, value)), Catch::Contains("is out of range"));
}

TEST_CASE("a parameter that is a power of two may also be 0", "[topology]") {
  const auto complaint = [](const std::string& membar) {
    return Complaints(R"({"devices": [{"bdf": "0000:01:00.0", "model": "pci-testdev",
        "params": {"membar": )" +
                      membar + R"(}}],
        "groups": [{"id": 1, "members": ["0000:01:00.0"]}]})");
  };
  for (const char* good : {"0", "4096", "\"1G\""}) CHECK(complaint(good).empty());
  for (const char* bad : {"1", "2048", "4097", "12288", "\"2G\""})
    CHECK_FALSE(complaint(bad).empty());
}

TEST_CASE("the topologies that come along load and are called like their files", "[topology]") {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kSourceDir + "/topologies")) {
    if (entry.path().filename() == "schema.json") continue;
    INFO(entry.path());
    const auto loaded = LoadFile(entry.path().string(), kModels);
    if (!loaded) FAIL(ToString(loaded.error()));
    CHECK(loaded->name == entry.path().stem().string());
    CHECK_FALSE(loaded->description.empty());
    CHECK(loaded->groups.empty() == loaded->derives_groups);
    ++count;
  }
  CHECK(count >= 6);
}

TEST_CASE("the schema has the kernel versions that there are, the newest is the default",
          "[topology]") {
  const auto schema = nlohmann::json::parse(TextOf(kSourceDir + "/topologies/schema.json"));
  const auto& versions = schema["properties"]["kernel"]["properties"]["version"]["enum"];
  REQUIRE(versions.size() == kKernelVersions.size());
  for (std::size_t i = 0; i < versions.size(); ++i) {
    CHECK(versions[i] == kKernelVersions[i].name);
    const TopologySpec spec = Loaded(With("/kernel", "version", versions[i].dump()));
    CHECK(spec.kernel.version == kKernelVersions[i]);
  }
  CHECK(Loaded(R"({"devices": [], "groups": []})").kernel.version.name == "7.3");
}

TEST_CASE("the schema has the early interfaces that there are, and none is the default",
          "[topology]") {
  const auto schema = nlohmann::json::parse(TextOf(kSourceDir + "/topologies/schema.json"));
  const auto& names = schema["properties"]["api"]["enum"];
  REQUIRE(names.size() == kEarlyApis.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    CHECK(names[i] == kEarlyApis[i].name);
    const std::string text = R"({"api": )" + names[i].dump() + R"(, "devices": [], "groups": []})";
    CHECK(Loaded(text).kernel.early_api == kEarlyApis[i]);
  }
  CHECK_FALSE(Loaded(R"({"devices": [], "groups": []})").kernel.has_early_api());
}

TEST_CASE("each policy in the schema is read, told again, and shown", "[topology]") {
  const auto schema = nlohmann::json::parse(TextOf(kSourceDir + "/topologies/schema.json"));
  const auto told = [](const std::string& key, const nlohmann::json& value) {
    const std::string text = R"({"api": "A-aug", "policies": {")" + key + R"(": )" + value.dump() +
                             R"(}, "devices": [], "groups": []})";
    return ToJson(Loaded(text))["policies"][key];
  };
  for (const auto& [key, policy] : schema["properties"]["policies"]["properties"].items())
    for (const auto& value : policy.value("enum", nlohmann::json{true, false}))
      CHECK(told(key, value) == value);
}

TEST_CASE("every key in the schema is a key that is read", "[topology]") {
  const auto schema = nlohmann::json::parse(TextOf(kSourceDir + "/topologies/schema.json"));
  const auto keys_are_known = [](const nlohmann::json& object, const std::string& pointer) {
    for (const auto& [key, ignored] : object["properties"].items()) {
      INFO(pointer << ' ' << key);
      // Whatever a key holds, `false` is not an unknown key.
      CHECK_THAT(Complaints(With(pointer, key, "false")), !Catch::Contains("unknown key"));
      CHECK_THAT(Complaints(With(pointer, key + "_", "false")), Catch::Contains("unknown key"));
    }
  };
  keys_are_known(schema, "");
  keys_are_known(schema["properties"]["kernel"], "/kernel");
  keys_are_known(schema["properties"]["policies"], "/policies");
  keys_are_known(schema["$defs"]["iommu"], "/iommu");
  keys_are_known(schema["$defs"]["reserved"], "/iommu/reserved/0");
  keys_are_known(schema["$defs"]["bridge"], "/bridges/0");
  keys_are_known(schema["$defs"]["device"], "/devices/0");
  keys_are_known(schema["$defs"]["platform"], "/platform/0");
  keys_are_known(schema["$defs"]["group"], "/groups/0");
}

}  // namespace vfiolab::topology
