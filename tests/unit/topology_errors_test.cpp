#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include <catch2/catch.hpp>

#include "topology/parse.hpp"
#include "topology/read.hpp"
#include "topology_models.hpp"

namespace vfiolab::topology {
namespace {

std::string Repeat(std::string_view part, std::size_t times) {
  std::string text;
  text.reserve(part.size() * times);
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

// `count` times `part` with a number for {}, separated by commas.
std::string List(std::string_view part, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text += (i == 0 ? "" : ",") + fmt::format(fmt::runtime(part), i);
  return text;
}

std::string AddressOf(std::size_t i) {
  return Bdf{static_cast<u16>(i / 8192), static_cast<u8>(i / 32), static_cast<u8>(i % 32), 0}
      .ToString();
}

std::string Machine(std::size_t devices, std::string_view more_members = "") {
  std::string text = R"({"devices": [)";
  std::string members;
  for (std::size_t i = 0; i < devices; ++i) {
    text += fmt::format(R"({}{{"bdf": "{}", "model": "edu"}})", i == 0 ? "" : ",", AddressOf(i));
    members += fmt::format(R"({}"{}")", i == 0 ? "" : ",", AddressOf(i));
  }
  return text + R"(], "groups": [{"id": 1, "members": [)" + members + std::string(more_members) +
         "]}]}";
}

}  // namespace

TEST_CASE("each invalid topology gets the whole message expected for it", "[topology]") {
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(kSourceDir + "/tests/topology/invalid")) {
    if (entry.path().extension() != ".json") continue;
    INFO(entry.path());
    const auto loaded =
        Load(TextOf(entry.path().string()), entry.path().filename().string(), kModels);
    REQUIRE_FALSE(loaded);
    auto expected = entry.path();
    expected.replace_extension(".expected");
    CHECK(ToString(loaded.error()) + '\n' == TextOf(expected.string()));
    ++count;
  }
  CHECK(count >= 30);
}

TEST_CASE("an error has its parts", "[topology]") {
  const auto loaded = LoadText(
      R"({"devices": [{"bdf": "0000:01:00.0", "model": "edo"}],
          "groups": [{"id": 1, "members": ["0000:01:00.0"]}]})");
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error() ==
        std::vector<ConfigError>{{"test.json", "/devices/0/model", R"(no model named "edo")",
                                  R"(did you mean "edu"?)", ""}});
  CHECK(loaded.error()[0].ToString() ==
        R"(test.json: /devices/0/model: no model named "edo": did you mean "edu"?)");
}

TEST_CASE("no address is said to be missing when one could not be read", "[topology]") {
  CHECK(Complaints(R"({"devices": [{"bdf": "0000:01:00:0", "model": "edu"},
                                   {"bdf": "0000:01:00.1", "model": "edu"}],
                       "groups": [{"id": 1, "members": ["0000:01:00.0", "0000:01:00.1"]}]})") ==
        "test.json: /devices/0/bdf: \"0000:01:00:0\" is not a PCI address: give "
        "segment:bus:device.function like \"0000:01:00.0\"");
  CHECK(Complaints(R"({"devices": [{"bdf": "0000:01:00.0", "model": "edu"}],
                       "groups": [{"id": 1, "members": [7]}]})") ==
        "test.json: /groups/0/members/0: 7 is not a string: give a PCI address like "
        "\"0000:01:00.0\"");
}

TEST_CASE("a file that cannot be read says why", "[topology]") {
  const auto missing = LoadFile("/nonexistent/a.json", kModels);
  REQUIRE_FALSE(missing);
  CHECK(ToString(missing.error()) ==
        "/nonexistent/a.json: cannot be read: No such file or directory: give the path of a "
        "topology file");
  const auto directory = LoadFile("/", kModels);
  REQUIRE_FALSE(directory);
  CHECK(ToString(directory.error()) ==
        "/: cannot be read: Is a directory: give the path of a topology file");
}

TEST_CASE("a file without end is refused for its size", "[topology]") {
  const auto loaded = LoadFile("/dev/zero", kModels);
  REQUIRE_FALSE(loaded);
  CHECK(ToString(loaded.error()) ==
        "/dev/zero: the file has more than 16777216 bytes: split it into several topologies");
}

TEST_CASE("16 MiB are read and one byte more is not", "[topology]") {
  std::string text = R"({"devices": [], "groups": []})";
  text.resize(kMaxFileSize, ' ');
  CHECK(Complaints(text).empty());
  text += ' ';
  CHECK_THAT(Complaints(text), Catch::Contains("more than 16777216 bytes"));
}

TEST_CASE("nesting of 64 is read, of 65 is not, and of millions does not overflow the stack",
          "[topology]") {
  const auto nested = [](std::size_t depth) {
    return R"({"devices": [], "groups": [], "x": )" + Repeat("[", depth) + Repeat("]", depth) + "}";
  };
  CHECK_THAT(Complaints(nested(kMaxNesting - 1)), Catch::Contains("unknown key \"x\""));
  CHECK_THAT(Complaints(nested(kMaxNesting)), Catch::Contains("nested more than 64 deep"));
  CHECK_THAT(Complaints(nested(5'000'000)), Catch::Contains("nested more than 64 deep"));
  CHECK_THAT(Complaints(Repeat("{\"a\":", 3'000'000)), Catch::Contains("nested more than 64 deep"));
  CHECK_THAT(
      Complaints(R"({"devices": [], "groups": [], "name": ")" + Repeat("[{\\\"", 10) + "\"}"),
      Catch::Equals(""));
}

TEST_CASE("a quarter of a million values are too many", "[topology]") {
  CHECK_THAT(Complaints("[" + Repeat("1,", kMaxValues) + "1]"),
             Catch::Contains("more than 250000 values"));
  CHECK_THAT(Complaints("[" + Repeat("{},", kMaxValues) + "{}]"),
             Catch::Contains("more than 250000 values"));
}

TEST_CASE("4096 devices are read and one more is not", "[topology]") {
  CHECK(Complaints(Machine(kMaxDevices)).empty());
  CHECK(Complaints(Machine(kMaxDevices + 1)) ==
        "test.json: /devices: 4097 devices: a topology holds at most 4096");
}

TEST_CASE("of many errors the first hundred are told and the others counted", "[topology]") {
  const auto loaded = LoadText(R"({"devices": [)" + List("{}", 1000) + R"(], "groups": []})");
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().size() == ErrorList::kMostShown + 1);
  CHECK(loaded.error().back().ToString() == "test.json: and 900 more: mend the ones above first");
}

TEST_CASE("files made to take long do not", "[topology]") {
  std::vector<std::string> texts;
  // As many wrong members as fit: the same ones again, and each its own.
  texts.push_back(Machine(kMaxDevices, Repeat(",\"0000:ff:1f.1\"", 100'000)));
  texts.push_back(Machine(kMaxDevices, "," + List("\"{:04x}:00:00.1\"", 20'000)));
  // Unknown, duplicate and very long keys, and very long values.
  texts.push_back("{" + List("\"devicez{}\":1", 120'000) + "}");
  texts.push_back("{" + Repeat("\"device\":1,", 120'000) + "\"device\":1}");
  texts.push_back("{\"" + std::string(5'000'000, 'k') + "\":1}");
  texts.push_back("{\"devices\": [\"" + std::string(5'000'000, 'v') + "\"]}");
  // An error at the end of a long line, and after many short ones.
  texts.push_back("[" + Repeat("1,", 120'000) + "]");
  texts.push_back(Repeat("\n", 1'000'000) + "[");
  // Everything overlaps everything.
  texts.push_back(R"({"devices": [], "groups": [], "iommu": {"reserved": [)" +
                  List(R"({{"first":"{}M","last":"0xffffffffffffffff","kind":"msi"}})", 30'000) +
                  "]}}");
  std::string bridges;
  for (std::size_t i = 0; i < kMaxDevices; ++i)
    bridges +=
        fmt::format(R"({}{{"bdf":"{:04x}:00:{:02x}.0","secondary_bus":{},"subordinate_bus":255}})",
                    i == 0 ? "" : ",", i / 255, i % 32, i % 255 + 1);
  texts.push_back(R"({"devices": [], "groups": [], "bridges": [)" + bridges + "]}");

  for (const std::string& text : texts) {
    INFO(text.substr(0, 80));
    REQUIRE(text.size() <= kMaxFileSize);
    const auto start = std::chrono::steady_clock::now();
    const std::string complaints = Complaints(text);
    CHECK_FALSE(complaints.empty());
    CHECK(complaints.size() < 50'000);
    // Generous for a slow machine and a sanitizer; anything quadratic takes hours.
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(60));
  }
}

}  // namespace vfiolab::topology
