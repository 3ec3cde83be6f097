#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "topology/show.hpp"
#include "topology_models.hpp"

namespace vfiolab::topology {
namespace {

constexpr std::string_view kBridged = R"({
  "name": "bridged",
  "description": "Bridges in a group, in another and in none",
  "api": "A6",
  "kernel": {"version": "6.12"},
  "iommu": {"reserved": [{"first": 0, "last": "0xfff", "kind": "direct"}], "coherent": false,
            "interrupt_isolation": false, "page_sizes": ["4K"]},
  "bridges": [
    {"bdf": "0000:00:1c.0", "secondary_bus": 1, "subordinate_bus": 3},
    {"bdf": "0000:01:00.0", "secondary_bus": 2},
    {"bdf": "0000:00:1d.0", "secondary_bus": 4}
  ],
  "devices": [
    {"bdf": "0000:00:03.0", "model": "edu", "driver": null},
    {"bdf": "0000:01:01.0", "model": "edu", "driver": "nvme"},
    {"bdf": "0000:02:00.0", "model": "pci-testdev", "params": {"membar": "64K"}},
    {"bdf": "0000:04:00.0", "model": "scratch", "params": {"msix_vectors": 2048}}
  ],
  "groups": [
    {"id": 7, "members": ["0000:00:1c.0", "0000:02:00.0", "0000:01:01.0", "0000:01:00.0"]},
    {"id": 8, "members": ["0000:04:00.0", "0000:00:03.0"]}
  ]
})";

}  // namespace

TEST_CASE("the tree shows groups, what hangs below what, and lines about devices", "[topology]") {
  const auto describe = [](const DeviceSpec& device) -> std::vector<std::string> {
    if (device.model != "edu") return {};
    return {"BAR 0: 1M of memory", "MSI"};
  };
  CHECK('\n' + RenderTree(Loaded(kBridged), describe) == R"(
bridged: Bridges in a group, in another and in none

iommu
   addresses   48 bits, pages of 4K
   mappings    at most 65535
   caches      not coherent
   interrupts  not isolated
   reserved    0x0-0xfff (direct)

interface A6
   devices with the driver vfio

group 7
└─ 0000:00:1c.0  bridge to buses 01-03
   ├─ 0000:01:00.0  bridge to bus 02
   │  └─ 0000:02:00.0  pci-testdev, driver vfio-pci
   │       membar = 65536 (64K)
   └─ 0000:01:01.0  edu, driver nvme
        BAR 0: 1M of memory
        MSI

group 8
├─ 0000:00:03.0  edu, no driver
│    BAR 0: 1M of memory
│    MSI
└─ 0000:04:00.0  scratch, driver vfio-pci, behind 0000:00:1d.0
     msix_vectors = 2048

in no group
└─ 0000:00:1d.0  bridge to bus 04
)");
}

TEST_CASE("the tree of an empty machine is its iommu", "[topology]") {
  CHECK(RenderTree(Loaded(R"({"name": "none", "devices": [], "groups": []})")) ==
        "none\n\n"
        "iommu\n"
        "   addresses   48 bits, pages of 4K 2M 1G\n"
        "   mappings    at most 65535\n"
        "   caches      coherent\n"
        "   interrupts  isolated\n"
        "   reserved    0xfee00000-0xfeefffff (msi)\n");
}

TEST_CASE("JSON made of a spec loads as the same spec", "[topology]") {
  const TopologySpec spec = Loaded(kBridged);
  const nlohmann::json json = ToJson(spec);
  CHECK(Loaded(json.dump()) == spec);
  CHECK(json["iommu"]["page_sizes"] == nlohmann::json({"4K"}));
  CHECK(json["iommu"]["reserved"][0]["last"] == "0xfff");
  CHECK(json["devices"][0]["driver"].is_null());
  CHECK(json["devices"][2]["params"]["membar"] == 65536);
}

TEST_CASE("facts about a device are with it in the JSON", "[topology]") {
  const TopologySpec spec = Loaded(kBridged);
  nlohmann::json json = ToJson(spec, [](const DeviceSpec& device) {
    return nlohmann::json{{"name", device.model}};
  });
  for (nlohmann::json& device : json["devices"]) {
    CHECK(device["facts"]["name"] == device["model"]);
    device.erase("facts");
  }
  CHECK(json == ToJson(spec));
}

}  // namespace vfiolab::topology
