#include <algorithm>
#include <filesystem>
#include <random>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "topology/show.hpp"
#include "topology_models.hpp"

namespace vfiolab::topology {
namespace {

using Random = std::mt19937;  // the same numbers everywhere, unlike the distributions

std::size_t Below(Random& random, std::size_t limit) { return random() % limit; }

// Parts that mean something to the reader, to get further than random bytes do.
constexpr std::array<std::string_view, 40> kParts = {
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-1",
    "0",
    "1",
    "2",
    "255",
    "256",
    "4096",
    "1e999",
    "1.5",
    "18446744073709551615",
    "18446744073709551616",
    "\"0x10\"",
    "\"64K\"",
    "\"4K\"",
    "\"bdf\"",
    "\"model\"",
    "\"params\"",
    "\"members\"",
    "\"id\"",
    "\"driver\"",
    "\"bridges\": [{\"bdf\": \"0000:00:1c.0\", \"secondary_bus\": 1}],",
    "\"iommu\": {\"page_sizes\": [\"4K\", \"2M\"], \"mapping_limit\": 7},",
    "\"iommu\": {\"reserved\": [{\"first\": 0, \"last\": \"0xfff\", \"kind\": \"direct\"}]},",
    "{\"id\": 5, \"members\": []},",
    "\"0000:01:00.0\"",
    "0",
    "/",
    "\xff"};

void Mutate(std::string& text, Random& random) {
  const std::size_t at = Below(random, text.size() + 1);
  const std::size_t length = Below(random, 1 + std::min<std::size_t>(text.size() - at, 24));
  switch (Below(random, 6)) {
    case 0:
      text.erase(at, length);
      break;
    case 1:
      text.insert(at, kParts[Below(random, kParts.size())]);
      break;
    case 2:
      text.replace(at, length, kParts[Below(random, kParts.size())]);
      break;
    case 3:
      text.insert(Below(random, text.size() + 1), text.substr(at, length));
      break;
    case 4:
      if (at < text.size()) text[at] = static_cast<char>(random());
      break;
    default:  // a digit for a digit keeps the file readable, and so reaches the checks of meaning
      if (const auto digit = text.find_first_of("0123456789", at); digit != std::string::npos)
        text[digit] = static_cast<char>('0' + Below(random, 10));
      break;
  }
}

// Exchanges, drops or copies a value somewhere in the tree: always JSON, often not a topology.
void MutateTree(nlohmann::json& node, Random& random) {
  if (!node.is_structured() || node.empty() || Below(random, 5) == 0) {
    const std::vector<nlohmann::json> values = {nullptr,
                                                true,
                                                0,
                                                1,
                                                -1,
                                                300,
                                                4096,
                                                1.5,
                                                "",
                                                "4K",
                                                "edu",
                                                "scratch",
                                                "0000:01:00.0",
                                                "0000:01:00.1",
                                                "nvme",
                                                nlohmann::json::array(),
                                                nlohmann::json::object()};
    node = values[Below(random, values.size())];
    return;
  }
  const auto child =
      std::next(node.begin(), static_cast<std::ptrdiff_t>(Below(random, node.size())));
  switch (Below(random, 6)) {
    case 0:
      node.erase(child);
      break;
    case 1:
      if (node.is_array()) {
        const nlohmann::json copy = *child;
        node.push_back(copy);
      }
      break;
    default:
      MutateTree(*child, random);
      break;
  }
}

// Whether Load() took it.
bool Try(const std::string& text) {
  const auto loaded = LoadText(text);
  if (loaded) {
    const std::string again = ToJson(*loaded).dump();
    const auto reloaded = LoadText(again);
    if (!reloaded || !(*reloaded == *loaded)) FAIL_CHECK("does not round-trip: " << text);
    if (RenderTree(*loaded).empty()) FAIL_CHECK("has no tree: " << text);
    return true;
  }
  if (loaded.error().empty()) FAIL_CHECK("refused without a reason: " << text);
  for (const ConfigError& error : loaded.error())
    if (error.message.empty() || error.remedy.empty())
      FAIL_CHECK("half an error: " << error.ToString() << " for " << text);
  return false;
}

constexpr const char* kValid = "/topologies";
constexpr const char* kInvalid = "/tests/topology/invalid";

std::vector<std::string> TextsIn(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(kSourceDir + folder))
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());  // else the numbers fall differently on each machine
  std::vector<std::string> texts;
  for (const auto& path : paths) texts.push_back(TextOf(path.string()));
  return texts;
}

std::size_t TryMutatedTexts(const char* folder, unsigned rounds) {
  Random random(20240229);
  std::size_t taken = 0;
  for (const std::string& seed : TextsIn(folder))
    for (unsigned round = 0; round < rounds; ++round) {
      std::string text = seed;
      for (std::size_t i = 1 + Below(random, 3); i > 0; --i) Mutate(text, random);
      taken += Try(text) ? 1 : 0;
    }
  return taken;
}

std::size_t TryMutatedTrees(const char* folder, unsigned rounds) {
  Random random(19700101);
  std::size_t taken = 0;
  for (const std::string& seed : TextsIn(folder)) {
    const auto tree = nlohmann::json::parse(seed, nullptr, false);
    if (tree.is_discarded()) continue;
    for (unsigned round = 0; round < rounds; ++round) {
      nlohmann::json mutated = tree;
      for (std::size_t i = 1 + Below(random, 3); i > 0; --i) MutateTree(mutated, random);
      taken += Try(mutated.dump()) ? 1 : 0;
    }
  }
  return taken;
}

}  // namespace

TEST_CASE("mutated text is refused with reasons or read as something that round-trips",
          "[topology]") {
  CHECK(TryMutatedTexts(kValid, 500) > 100);  // else the mutations are too wild to test anything
  TryMutatedTexts(kInvalid, 50);
}

TEST_CASE("mutated trees are refused with reasons or read as something that round-trips",
          "[topology]") {
  CHECK(TryMutatedTrees(kValid, 500) > 100);
  TryMutatedTrees(kInvalid, 50);
}

TEST_CASE("no beginning of a file crashes the reader", "[topology]") {
  for (const std::string& text : TextsIn(kValid))
    for (std::size_t length = 0; length < text.size(); length += 3) Try(text.substr(0, length));
}

}  // namespace vfiolab::topology
