// Scenarios played by each interface.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "base/trace.hpp"
#include "compare/player.hpp"

using namespace vfiolab;
using namespace vfiolab::compare;

namespace {

const std::string kScenarios = VFIOLAB_SOURCE_DIR "/examples/scenarios/";

std::vector<Performance> PlayAll(const Scenario& scenario) {
  std::vector<Performance> performances;
  for (const GenerationRow& row : Generations()) performances.push_back(Play(scenario, row));
  return performances;
}

Scenario Shipped(const std::string& name) {
  auto scenario = LoadScenario(kScenarios + name + ".json");
  REQUIRE(scenario);
  return *std::move(scenario);
}

// What came of step `step`, counted from 1, in a generation.
std::string OutcomeOf(const Scenario& scenario, const std::string& generation, std::size_t step) {
  for (const GenerationRow& row : Generations())
    if (row.name == generation) return Play(scenario, row).outcomes.at(step - 1).text;
  return "no such generation";
}

std::string Complaints(const std::string& text) {
  const std::string path = std::filesystem::temp_directory_path() / "vfiolab_scenario.json";
  std::ofstream(path) << text;
  const auto loaded = LoadScenario(path);
  std::filesystem::remove(path);
  return loaded ? "" : topology::ToString(loaded.error());
}

}  // namespace

TEST_CASE("the first of two devices that share an address space is closed: who has the mappings",
          "[compare]") {
  const Scenario scenario = Shipped("first-closed");
  for (const char* gone : {"A5", "A6", "A-aug, children reset"})
    CHECK(OutcomeOf(scenario, gone, 8) == "faults");
  for (const char* stay :
       {"A-jun", "A-jul-15", "A-jul", "A-aug, owner refuses", "A-aug, child promoted",
        "A-aug, uiommu kept", "B0", "B1", "B2", "B3", "7.3", "6.12"})
    CHECK(OutcomeOf(scenario, stay, 8) == "reaches");
}

TEST_CASE("two contexts in one group: separate, one, or refused", "[compare]") {
  const Scenario scenario = Shipped("two-contexts");
  CHECK(OutcomeOf(scenario, "A6", 7) == "faults");
  CHECK(OutcomeOf(scenario, "A-aug, uiommu kept", 4) == "EBUSY");
  CHECK(OutcomeOf(scenario, "B1", 7) == "reaches");
  CHECK(OutcomeOf(scenario, "7.3", 4) == "EINVAL");
}

TEST_CASE("map before viable: nobody asks, or the IOMMU, the open or the container refuses",
          "[compare]") {
  const Scenario scenario = Shipped("before-viable");
  CHECK(OutcomeOf(scenario, "A6", 4) == "reaches");
  CHECK(OutcomeOf(scenario, "A-aug, owner refuses", 2) == "EBUSY");
  CHECK(OutcomeOf(scenario, "A-aug, open if viable", 1) == "EBUSY");
  CHECK(OutcomeOf(scenario, "B2", 2) == "EBUSY");
  CHECK(OutcomeOf(scenario, "7.3", 2) == "EPERM");
}

TEST_CASE("twenty groups share an address space: the calls are counted", "[compare]") {
  const Scenario scenario = Shipped("twenty");
  std::map<std::string, unsigned> calls;
  for (const Performance& performance : PlayAll(scenario)) {
    calls[performance.generation] = performance.calls;
    CHECK(performance.outcomes.back().text == "reaches");
  }
  // 20 opens, a uiommu, 20 times into it, a mapping.
  CHECK(calls["A6"] == 42);
  // 20 groups, 20 devices, 19 times bound, a mapping.
  CHECK(calls["A-aug, owner refuses"] == 60);
  // The same, merged, and a descriptor of the IOMMU.
  CHECK(calls["B1"] == 61);
  // The same, 20 times into the container, which is opened and gets its type.
  CHECK(calls["7.3"] == 63);
}

TEST_CASE("a second process opens the group", "[compare]") {
  const Scenario scenario = Shipped("second-process");
  CHECK(OutcomeOf(scenario, "A6", 3) == "ok");
  CHECK(OutcomeOf(scenario, "A-aug, owner refuses", 3) == "EBUSY");
  CHECK(OutcomeOf(scenario, "A-aug, shared open", 6) == "reaches");
  CHECK(OutcomeOf(scenario, "B3", 4) == "EPERM");
  CHECK(OutcomeOf(scenario, "7.3", 3) == "EBUSY");
}

TEST_CASE("each deed is done by each interface", "[compare]") {
  Scenario scenario{
      "all", "?", {{"a", 1, compare::Driver::kVfio}, {"b", 2, compare::Driver::kVfio}}, {}};
  for (const Deed deed :
       {Deed::kOpen, Deed::kSpace, Deed::kMap, Deed::kDma, Deed::kUnmap, Deed::kDma, Deed::kClose})
    scenario.steps.push_back({deed, {"a"}, {}});
  for (const Performance& performance : PlayAll(scenario)) {
    INFO(performance.generation);
    std::string outcomes;
    for (const auto& outcome : performance.outcomes) outcomes += outcome.text + " ";
    CHECK(outcomes == "ok ok ok reaches ok faults ok ");
  }
}

TEST_CASE("what cannot be done for want of something before is a dash", "[compare]") {
  Scenario scenario{"dash", "?", {{"a", 1, compare::Driver::kNone}}, {}};
  for (const Deed deed : {Deed::kMap, Deed::kClose, Deed::kSpace})
    scenario.steps.push_back({deed, {"a"}, {}});
  for (const Performance& performance : PlayAll(scenario))
    for (const auto& outcome : performance.outcomes) CHECK(outcome.text == "-");
}

TEST_CASE("docs/debate.md shows what `vfiolab compare` prints for each scenario that comes along",
          "[compare]") {
  std::ifstream file(VFIOLAB_SOURCE_DIR "/docs/debate.md");
  std::stringstream text;
  text << file.rdbuf();
  std::size_t shipped = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kScenarios)) {
    INFO(entry.path());
    const auto scenario = LoadScenario(entry.path().string());
    REQUIRE(scenario);
    CHECK(text.str().find(Render(*scenario, PlayAll(*scenario))) != std::string::npos);
    ++shipped;
  }
  CHECK(shipped == 5);
}

TEST_CASE("a scenario that is wrong gets all its errors, with places and remedies", "[compare]") {
  CHECK_THAT(Complaints("{"), Catch::Contains("end of input"));
  CHECK_THAT(Complaints(R"({"name": "x", "question": "?", "steps": []})"),
             Catch::Contains("nothing happens"));
  const std::string text = Complaints(R"({
    "name": "x", "question": "?", "groups": [{"a": "nvme", "b": "vfio"}, {"a": "vfio"}],
    "steps": [{"do": "opn", "device": "a"}, {"do": "share", "device": "z"},
              {"do": "map", "device": "a", "page": 64, "page2": 1}]})");
  for (const char* part : {"/groups/0/a: \"nvme\" is unknown", "the device \"a\" is there already",
                           "/steps/0/do: \"opn\" is unknown", "/steps/1/device: no device \"z\"",
                           "no \"with\"", "/steps/2/page", "unknown key \"page2\""})
    CHECK_THAT(text, Catch::Contains(part));
}
