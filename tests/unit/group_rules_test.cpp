// Groups that follow from a hierarchy, by the rules of drivers/iommu/iommu.c.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <catch2/catch.hpp>

#include "fake_devices/models.hpp"
#include "support/fake_environment.hpp"
#include "topology/build.hpp"
#include "topology/load.hpp"

namespace vfiolab::topology {
namespace {

// The machine of a topology that states no groups. edu is conventional PCI, doorbell is express.
class Hierarchy {
 public:
  Hierarchy(const std::string& bridges, const std::string& devices) {
    const auto spec = Load(fmt::format(R"({{"bridges": [{}], "devices": [{}]}})", bridges, devices),
                           "test.json", fake_devices::Models());
    if (!spec) FAIL(ToString(spec.error()));
    REQUIRE(Build(*spec, fake_devices::Models(), machine));
  }

  // The members of each group in the order of their numbers, without the segment: "00:1c.0
  // 01:00.0".
  std::vector<std::string> Groups() const {
    std::vector<std::string> texts;
    unsigned next = 0;
    for (const GroupSpec& group : GroupsOf(machine)) {
      CHECK(group.id == next++);
      std::vector<std::string> members;
      for (const Bdf member : group.members) members.push_back(member.ToString().substr(5));
      texts.push_back(fmt::format("{}", fmt::join(members, " ")));
    }
    return texts;
  }

  test::FakeEnvironment environment;
  Trace trace;
  Machine machine{environment, trace, Iommu{}};
};

std::string Edu(std::string_view bdf) {
  return fmt::format(R"({{"bdf": "{}", "model": "edu"}})", bdf);
}

std::string Express(std::string_view bdf, std::string_view more = "") {
  return fmt::format(R"({{"bdf": "{}", "model": "doorbell"{}}})", bdf, more);
}

using Groups = std::vector<std::string>;

}  // namespace

TEST_CASE("a device on a root bus has a group of its own", "[groups]") {
  const Hierarchy machine("", Edu("00:04.0") + "," + Express("00:05.0"));
  CHECK(machine.Groups() == Groups{"00:04.0", "00:05.0"});
}

TEST_CASE("numbers follow the buses: all of a bus, then what is behind its bridges", "[groups]") {
  const Hierarchy machine(R"({"bdf": "00:1c.0"}, {"bdf": "00:01.0"})",
                          Edu("01:00.0") + "," + Edu("02:00.0") + "," + Edu("00:1f.0"));
  CHECK(machine.Groups() == Groups{"00:01.0", "00:1c.0", "00:1f.0", "01:00.0", "02:00.0"});
}

TEST_CASE("a device behind a port without access control is in the port's group", "[groups]") {
  const Hierarchy machine(R"({"bdf": "00:1c.0", "acs": false})", Edu("01:00.0"));
  CHECK(machine.Groups() == Groups{"00:1c.0 01:00.0"});
}

TEST_CASE(
    "of access control four bits matter, and what a port does not have is taken for hard-wired",
    "[groups]") {
  const Hierarchy some(R"({"bdf": "00:1c.0", "acs": ["SrcValid", "UpstreamFwd"]})", Edu("01:00.0"));
  CHECK(some.Groups() == Groups{"00:1c.0", "01:00.0"});
  const Hierarchy none(R"({"bdf": "00:1c.0", "acs": []})", Edu("01:00.0"));
  CHECK(none.Groups() == Groups{"00:1c.0", "01:00.0"});
}

TEST_CASE("ports that are functions of one device without access control share a group",
          "[groups]") {
  const std::string devices = Edu("01:00.0") + "," + Edu("02:00.0");
  const Hierarchy open(R"({"bdf": "00:1c.0", "acs": false}, {"bdf": "00:1c.1", "acs": false})",
                       devices);
  CHECK(open.Groups() == Groups{"00:1c.0 00:1c.1 01:00.0 02:00.0"});
  const Hierarchy closed(R"({"bdf": "00:1c.0"}, {"bdf": "00:1c.1"})", devices);
  CHECK(closed.Groups() == Groups{"00:1c.0", "00:1c.1", "01:00.0", "02:00.0"});
}

TEST_CASE("a switch separates what is behind it if its downstream ports do", "[groups]") {
  const auto machine = [](std::string_view acs) {
    return Hierarchy(fmt::format(R"({{"bdf": "00:1c.0", "name": "port"}},
                        {{"bdf": "port/00.0", "name": "up"}},
                        {{"bdf": "up/00.0", "name": "left", "acs": {0}}},
                        {{"bdf": "up/01.0", "name": "right", "acs": {0}}})",
                                 acs),
                     Express("left/00.0") + "," + Express("right/00.0"));
  };
  CHECK(machine("true").Groups() ==
        Groups{"00:1c.0", "01:00.0", "02:00.0", "02:01.0", "03:00.0", "04:00.0"});
  CHECK(machine("false").Groups() ==
        Groups{"00:1c.0", "01:00.0", "02:00.0 03:00.0", "02:01.0 04:00.0"});
}

TEST_CASE("one open port on the way makes a group of all below it", "[groups]") {
  const Hierarchy machine(R"({"bdf": "00:1c.0", "name": "port", "acs": false},
                             {"bdf": "port/00.0", "name": "up"},
                             {"bdf": "up/00.0", "name": "left"}, {"bdf": "up/01.0", "name": "right"})",
                          Express("left/00.0") + "," + Express("right/00.0"));
  CHECK(machine.Groups() == Groups{"00:1c.0 01:00.0 02:00.0 02:01.0 03:00.0 04:00.0"});
}

TEST_CASE("what is behind a bridge to conventional PCI is one requester", "[groups]") {
  const Hierarchy machine(R"({"bdf": "00:1c.0", "name": "port"},
                             {"bdf": "port/00.0", "name": "pci", "kind": "pcie-to-pci"},
                             {"bdf": "pci/03.0", "name": "deep"})",
                          Edu("pci/01.0") + "," + Edu("pci/02.0") + "," + Edu("deep/00.0"));
  CHECK(machine.Groups() == Groups{"00:1c.0", "01:00.0 02:01.0 02:02.0 02:03.0 03:00.0"});
}

TEST_CASE("functions of a device without access control share a group", "[groups]") {
  const Hierarchy pci("", Edu("00:04.0") + "," + Edu("00:04.1") + "," + Edu("00:05.0"));
  CHECK(pci.Groups() == Groups{"00:04.0 00:04.1", "00:05.0"});
  const std::string port = R"({"bdf": "00:1c.0"})";
  const Hierarchy open(port, Express("01:00.0") + "," + Express("01:00.1"));
  CHECK(open.Groups() == Groups{"00:1c.0", "01:00.0 01:00.1"});
  const std::string acs = R"(, "acs": true)";
  const Hierarchy closed(port, Express("01:00.0", acs) + "," + Express("01:00.1", acs));
  CHECK(closed.Groups() == Groups{"00:1c.0", "01:00.0", "01:00.1"});
}

TEST_CASE("a function with access control leaves those without among themselves", "[groups]") {
  const Hierarchy machine(
      R"({"bdf": "00:1c.0"})",
      Express("01:00.0", R"(, "acs": true)") + "," + Express("01:00.1") + "," + Express("01:00.2"));
  CHECK(machine.Groups() == Groups{"00:1c.0", "01:00.0", "01:00.1 01:00.2"});
}

TEST_CASE("functions whose requests may have each other's ids share a group", "[groups]") {
  const Hierarchy machine("", Express("00:04.0") + "," +
                                  Express("00:05.0", R"(, "dma_aliases": ["00:04.0"])") + "," +
                                  Express("00:06.0"));
  CHECK(machine.Groups() == Groups{"00:04.0 00:05.0", "00:06.0"});
}

TEST_CASE("ports that Linux knows to isolate need no capability", "[groups]") {
  // A root port of a chipset of 2011, by Intel.
  const Hierarchy machine(
      R"({"bdf": "00:1c.0", "acs": false, "vendor_id": "0x8086", "device_id": "0x1c10"})",
      Edu("01:00.0"));
  CHECK(machine.Groups() == Groups{"00:1c.0", "01:00.0"});
}

TEST_CASE("segments and root buses are apart", "[groups]") {
  const Hierarchy machine(
      "", Edu("0000:00:04.0") + "," + Edu("0000:40:04.0") + "," + Edu("0001:00:04.0"));
  CHECK(machine.Groups() == Groups{"00:04.0", "40:04.0", "00:04.0"});
}

TEST_CASE("a function that comes back goes where the rules say, with the lowest free number",
          "[groups]") {
  Hierarchy machine(R"({"bdf": "00:1c.0", "acs": false})",
                    R"({"bdf": "01:00.0", "model": "edu", "driver": null},
                       {"bdf": "00:04.0", "model": "edu", "driver": null})");
  PciBusType& bus = machine.machine.pci_bus();
  const auto remove = [&](Bdf bdf) { bus.Remove(*machine.machine.device(bdf), [] {}); };
  CHECK(machine.Groups() == Groups{"00:04.0", "00:1c.0 01:00.0"});
  remove({0, 0, 4, 0});
  remove({0, 1, 0, 0});
  bus.Rescan();
  CHECK(machine.machine.device({0, 1, 0, 0})->group().id() == 1);
  CHECK(machine.machine.device({0, 0, 4, 0})->group().id() == 0);
}

}  // namespace vfiolab::topology
