// Bridges: what they are if a topology does not say, and what does not fit.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "topology_models.hpp"

namespace vfiolab::topology {
namespace {

std::string Bridges(std::string_view bridges, std::string_view devices = "") {
  return fmt::format(R"({{"bridges": [{}], "devices": [{}]}})", bridges, devices);
}

// "BDF KIND SECONDARY-SUBORDINATE" of each, in the order of addresses.
std::vector<std::string> Summary(const std::string& text) {
  const TopologySpec spec = Loaded(text);
  if (spec.bridges.empty()) return {spec.name};
  std::vector<std::string> lines;
  for (const BridgeSpec& bridge : spec.bridges)
    lines.push_back(fmt::format("{} {} {}-{}", bridge.bdf.ToString().substr(5), NameOf(bridge.kind),
                                bridge.secondary_bus, bridge.subordinate_bus));
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("buses get the numbers that a scan gives them, depth first", "[topology]") {
  CHECK(Summary(Bridges(R"({"bdf": "00:1d.0", "name": "last"},
                           {"bdf": "deep/00.0", "name": "up"},
                           {"bdf": "up/01.0"}, {"bdf": "up/00.0"},
                           {"bdf": "00:1c.0", "name": "deep"})")) ==
        Lines{"00:1c.0 root-port 1-4", "00:1d.0 root-port 5-5", "01:00.0 upstream-port 2-4",
              "02:00.0 downstream-port 3-3", "02:01.0 downstream-port 4-4"});
}

TEST_CASE("numbers that are given stay, and no other bridge gets them", "[topology]") {
  CHECK(Summary(Bridges(R"({"bdf": "00:1c.0"}, {"bdf": "00:1d.0", "secondary_bus": 1},
                           {"bdf": "00:1e.0"})")) ==
        Lines{"00:1c.0 root-port 2-2", "00:1d.0 root-port 1-1", "00:1e.0 root-port 3-3"});
}

TEST_CASE("a bridge whose address has the number of a bus that was assigned is behind it",
          "[topology]") {
  CHECK(Summary(Bridges(R"({"bdf": "00:1c.0"}, {"bdf": "01:00.0", "kind": "pcie-to-pci"},
                           {"bdf": "02:04.0"})")) ==
        Lines{"00:1c.0 root-port 1-3", "01:00.0 pcie-to-pci 2-3", "02:04.0 pci-to-pci 3-3"});
}

TEST_CASE("segments and root buses count on their own", "[topology]") {
  CHECK(Summary(Bridges(R"({"bdf": "0001:00:01.0"}, {"bdf": "00:01.0"}, {"bdf": "80:01.0"})")) ==
        Lines{"00:01.0 root-port 1-1", "80:01.0 root-port 129-129", "00:01.0 root-port 1-1"});
}

TEST_CASE("devices, groups and physical functions can be behind a bridge with a name",
          "[topology]") {
  const TopologySpec spec = Loaded(R"({
    "bridges": [{"bdf": "00:1c.0", "name": "port"}],
    "devices": [{"bdf": "port/00.0", "model": "edu"}],
    "groups": [{"id": 3, "members": ["port/00.0", "00:1c.0"]}]})");
  REQUIRE(spec.devices.size() == 1);
  CHECK(spec.devices[0].bdf == Bdf{0, 1, 0, 0});
  CHECK(spec.groups[0].members == std::vector<Bdf>{{0, 0, 0x1c, 0}, {0, 1, 0, 0}});
  CHECK_FALSE(spec.derives_groups);
}

TEST_CASE("names of bridges that are wrong are said", "[topology]") {
  CHECK(Complaints(Bridges(R"({"bdf": "00:1c.0", "name": "port"}, {"bdf": "prot/00.0"})",
                           R"({"bdf": "pot/00.0", "model": "edu"})")) ==
        "test.json: /bridges/1/bdf: no bridge is named \"prot\": did you mean \"port\"?\n"
        "test.json: /devices/0/bdf: no bridge is named \"pot\": did you mean \"port\"?");
  CHECK(
      Complaints(Bridges(R"({"bdf": "00:1c.0", "name": "a"}, {"bdf": "00:1d.0", "name": "a"})")) ==
      "test.json: /bridges/1/name: \"a\" is already at /bridges/0/name: give each bridge its own "
      "name");
  CHECK(
      Complaints(Bridges(R"({"bdf": "b/00.0", "name": "a"}, {"bdf": "a/00.0", "name": "b"})")) ==
      "test.json: /bridges/0/bdf: no root bus leads to \"b\": put one of the bridges that lead to "
      "it on a root bus\n"
      "test.json: /bridges/1/bdf: no root bus leads to \"a\": put one of the bridges that lead to "
      "it on a root bus");
}

TEST_CASE("a kind that does not fit where the bridge is gets told where it belongs", "[topology]") {
  CHECK(Complaints(Bridges(R"({"bdf": "00:1c.0", "kind": "downstream-port"})")) ==
        "test.json: /bridges/0/kind: there is no downstream-port on a root bus: put it behind an "
        "upstream port");
  CHECK(Complaints(Bridges(R"({"bdf": "00:1c.0"}, {"bdf": "01:00.0", "kind": "root-port"})")) ==
        "test.json: /bridges/1/kind: there is no root-port behind a root-port: put it on a root "
        "bus");
  CHECK(Complaints(Bridges(R"({"bdf": "00:1c.0", "kind": "bridge"})"))
            .starts_with("test.json: /bridges/0/kind: no kind of bridge is named \"bridge\": "));
}

TEST_CASE("access control is of PCI Express, and its names are those of lspci", "[topology]") {
  const TopologySpec spec =
      Loaded(Bridges(R"({"bdf": "00:1c.0", "acs": ["SrcValid", "DirectTrans"]}, {"bdf": "00:1d.0"},
                 {"bdf": "00:1e.0", "kind": "pci-to-pci"}, {"bdf": "00:1f.0", "acs": false})"));
  REQUIRE(spec.bridges.size() == 4);
  CHECK(spec.bridges[0].acs == AcsBits{PCI_ACS_SV | PCI_ACS_DT});
  CHECK(spec.bridges[1].acs == kUsualAcs);
  CHECK_FALSE(spec.bridges[2].acs);
  CHECK_FALSE(spec.bridges[3].acs);
  CHECK(Complaints(Bridges(R"({"bdf": "00:1e.0", "kind": "pci-to-pci", "acs": true})")) ==
        "test.json: /bridges/0/acs: conventional PCI has no access control: remove it, or use "
        "another kind");
  CHECK(Complaints(Bridges(R"({"bdf": "00:1e.0", "acs": ["SrcValdi"]})")) ==
        "test.json: /bridges/0/acs/0: access control knows no \"SrcValdi\": did you mean "
        "\"SrcValid\"?");
}

TEST_CASE("windows that are given are checked against each other", "[topology]") {
  CHECK(Complaints(
            Bridges(R"({"bdf": "00:1c.0", "memory": {"first": "0x90000000", "last": "0x8fffffff"},
                                 "io": {"first": "0x1000", "last": "0x1800"}})")) ==
        "test.json: /bridges/0/memory: 0x90000000 is above 0x8fffffff: give the lower address as "
        "\"first\"\n"
        "test.json: /bridges/0/io: 0x1000-0x1800 does not begin and end at 4K: give "
        "0x1000-0x1fff");
  CHECK(Complaints(Bridges(R"({"bdf": "00:1c.0", "name": "port"},
                              {"bdf": "port/00.0", "memory": {"first": "0x90000000",
                               "last": "0x900fffff"}})")) ==
        "test.json: /bridges/1/memory: 0x90000000-0x900fffff is not in that of 0000:00:1c.0 above "
        "it: give that one a window which holds it");
  CHECK(
      Complaints(
          Bridges(R"({"bdf": "00:1c.0", "memory": {"first": "0x90000000", "last": "0x901fffff"}},
                              {"bdf": "00:1d.0", "memory": {"first": "0x90100000", "last": "0x902fffff"}})")) ==
      "test.json: /bridges/1/memory: 0x90100000-0x902fffff overlaps that of /bridges/0: keep them "
      "apart");
}

TEST_CASE("aliases are on the device's own bus", "[topology]") {
  CHECK(Complaints(
            R"({"devices": [{"bdf": "00:04.0", "model": "edu", "dma_aliases": ["01:00.0"]}]})") ==
        "test.json: /devices/0/dma_aliases/0: 0000:01:00.0 is on another bus: give a function of "
        "the device's own bus");
}

}  // namespace vfiolab::topology
