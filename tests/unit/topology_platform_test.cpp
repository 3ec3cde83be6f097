// Platform devices in a topology: read, shown and built.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "fake_devices/models.hpp"
#include "support/fake_environment.hpp"
#include "topology/build.hpp"
#include "topology/show.hpp"
#include "topology_models.hpp"

namespace vfiolab::topology {
namespace {

constexpr std::string_view kMixed = R"({
  "name": "mixed",
  "kernel": {"reset_required": false},
  "devices": [{"bdf": "0000:01:00.0", "model": "edu"}],
  "platform": [
    {"name": "fe100000.copier", "model": "copier", "driver": "copier-host", "reset": false,
     "params": {"memory": "4K"}},
    {"name": "fe000000.copier", "model": "copier"},
    {"name": "soc:dma", "model": "copier", "driver": null}
  ],
  "groups": [
    {"id": 2, "members": ["soc:dma", "fe100000.copier", "0000:01:00.0"]},
    {"id": 1, "members": ["fe000000.copier"]}
  ]
})";

}  // namespace

TEST_CASE("every key of a platform device reaches the spec, sorted by name", "[topology]") {
  const TopologySpec spec = Loaded(kMixed);
  REQUIRE(spec.platform.size() == 3);
  CHECK(spec.platform[0] == PlatformSpec{.name = "fe000000.copier", .model = "copier"});
  CHECK(spec.platform[1] == PlatformSpec{.name = "fe100000.copier",
                                         .model = "copier",
                                         .driver = "copier-host",
                                         .params = {{"memory", 4096}},
                                         .reset = false});
  CHECK(spec.platform[2].driver.empty());
  CHECK(spec.groups[0].platform_members == std::vector<std::string>{"fe000000.copier"});
  CHECK(spec.groups[1].members == std::vector<Bdf>{{0, 1, 0, 0}});
  CHECK(spec.groups[1].platform_members == std::vector<std::string>{"fe100000.copier", "soc:dma"});
  CHECK_FALSE(spec.kernel.platform_reset_required);
}

TEST_CASE("JSON made of a spec with platform devices loads as the same spec", "[topology]") {
  const TopologySpec spec = Loaded(kMixed);
  CHECK(Loaded(ToJson(spec).dump()) == spec);
  const auto facts = [](const PlatformSpec& device) { return nlohmann::json(device.name); };
  CHECK(ToJson(spec, {}, facts)["platform"][0]["facts"] == "fe000000.copier");
}

TEST_CASE("the tree shows platform devices behind the others of their group", "[topology]") {
  const auto describe = [](const PlatformSpec&) { return std::vector<std::string>{"a region"}; };
  const std::string tree = RenderTree(Loaded(kMixed), {}, describe);
  CHECK('\n' + tree.substr(tree.find("group 1")) == R"(
group 1
└─ fe000000.copier  copier, driver vfio-platform
     a region

group 2
├─ 0000:01:00.0  edu, driver vfio-pci
├─ fe100000.copier  copier, driver copier-host
│    memory = 4096 (4K)
│    a region
└─ soc:dma  copier, no driver
     a region
)");
}

TEST_CASE("a machine has the platform devices of its topology, in their groups", "[topology]") {
  const TopologySpec spec = Loaded(kMixed);
  test::FakeEnvironment environment;
  Trace trace;
  Machine machine(environment, trace, spec.iommu, spec.kernel);
  REQUIRE(Build(spec, fake_devices::Models(), machine));
  CHECK(machine.platform_devices().size() == 3);
  PlatformSlot* second = machine.platform_device("fe100000.copier");
  REQUIRE(second != nullptr);
  CHECK(second->driver() == "copier-host");
  CHECK_FALSE(second->has_reset());
  CHECK(second->device().regions()[1].spec.size == 4096);
  CHECK(&second->group() == &machine.groups().at(2));
  CHECK(machine.groups().at(2).size() == 3);
  CHECK(machine.platform_device("soc:dma")->driver().empty());
  CHECK(machine.platform_device("nothing") == nullptr);
}

}  // namespace vfiolab::topology
