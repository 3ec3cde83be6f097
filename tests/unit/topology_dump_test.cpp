// Config space dumps and the topologies that name them.
#include <fmt/format.h>

#include <filesystem>

#include <catch2/catch.hpp>

#include "fake_devices/models.hpp"
#include "topology/config_dump.hpp"
#include "topology_models.hpp"

namespace vfiolab::topology {
namespace {

const std::string kMachine = kSourceDir + "/tests/referee/machines/referee/";

// What is wrong with a replica of one of the referee's devices.
std::string Wrong(const std::string& params) {
  const auto loaded = Load(fmt::format(R"({{"devices": [{{"bdf": "0000:01:00.0", "model": "replica",
      "params": {{{}}}}}], "groups": [{{"id": 1, "members": ["0000:01:00.0"]}}]}})",
                                       params),
                           kMachine + "t.json", fake_devices::Models());
  if (loaded) return "";
  std::string text;
  for (const ConfigError& error : loaded.error())
    text += fmt::format("{}{}: {}: {}", text.empty() ? "" : "\n", error.place, error.message,
                        error.remedy);
  return text;
}

std::string Lines(unsigned count) {
  std::string text;
  for (unsigned i = 0; i < count; ++i)
    text += fmt::format("{:02x}: 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10\n", i * 16);
  return text;
}

std::string Trouble(std::string_view text) {
  const auto bytes = ParseDump(text);
  return bytes ? "" : bytes.error().message;
}

constexpr const char* kNvme = R"("config": "nvme.config", "bar0": )";

}  // namespace

TEST_CASE("a dump has 64, 256 or 4096 bytes", "[dump]") {
  CHECK(ParseDump(Lines(16))->size() == 256);
  CHECK(ParseDump(Lines(256))->size() == 4096);
  CHECK(Trouble(Lines(15)) == "shows 240 bytes, not 64, 256 or 4096");
  CHECK(Trouble("") == "shows 0 bytes, not 64, 256 or 4096");
}

TEST_CASE("a dump of 64 bytes is one of 256 without capabilities", "[dump]") {
  auto bytes = *ParseDump(Lines(4));
  CHECK(bytes.size() == 256);
  CHECK(bytes[0x34] == std::byte{0});
  CHECK((bytes[0x06] & std::byte{0x10}) == std::byte{0});
}

TEST_CASE("what else lspci says does not count", "[dump]") {
  const std::string title = "00:1f.2 SATA controller: Intel [AHCI mode]\n\tFlags: fast devsel\n";
  CHECK(ParseDump(title + Lines(16) + "\n")->at(0) == std::byte{1});
}

TEST_CASE("a dump with a hole or of two devices is refused", "[dump]") {
  CHECK(Trouble(Lines(1) + "20: 00\n") == "goes on at 0x20 after 0x10");
  CHECK(Trouble(Lines(16) + Lines(16)) == "shows more than one device");
}

TEST_CASE("a replica with the sizes of its BARs loads", "[dump]") {
  CHECK(Wrong(kNvme + std::string(R"("16K")")) == "");
}

TEST_CASE("a replica needs a dump that can be read", "[dump]") {
  CHECK(Wrong("") == R"(/devices/0: replica needs the parameter "config": )"
                     "give a file: config space of the device, as `lspci -xxxx` prints it");
  CHECK_THAT(Wrong(R"("config": "none")"),
             Catch::Contains("/devices/0/params/config: \"none\" cannot be read: No such file"));
  CHECK_THAT(Wrong(R"("config": ".")"), Catch::Contains("cannot be read"));
  CHECK_THAT(Wrong(R"("config": "qemu.args")"), Catch::Contains("shows 0 bytes"));
  CHECK_THAT(Wrong(R"("config": 7)"), Catch::Contains("7 is not a string"));
}

TEST_CASE("each BAR of a dump needs a size, and no other has one", "[dump]") {
  CHECK(Wrong(R"("config": "nvme.config")") ==
        "/devices/0/params: \"nvme.config\" has a BAR0, whose size is missing: "
        "give \"bar0\", which `lspci -v` tells");
  CHECK(Wrong(kNvme + std::string(R"("16K", "bar1": "16K")")) ==
        "/devices/0/params/bar1: BAR1 is the upper half of BAR0, which has 64 bits: remove it");
  CHECK(Wrong(kNvme + std::string(R"("16K", "bar2": "16K")")) ==
        "/devices/0/params/bar2: \"nvme.config\" has no BAR2: remove it");
}

TEST_CASE("the size of a BAR is one that the BAR can have", "[dump]") {
  CHECK_THAT(Wrong(kNvme + std::string("17000")), Catch::Contains("neither 0 nor a power of two"));
  CHECK_THAT(Wrong(kNvme + std::string("8")),
             Catch::Contains("8 is too small for a memory BAR: give a power of two from 16"));
  CHECK_THAT(Wrong(R"("config": "e1000.config", "bar0": "128K", "bar1": "1K")"),
             Catch::Contains("1K is too large for an I/O BAR: give a power of two from 4 to 256"));
  CHECK_THAT(Wrong(kNvme + std::string(R"("1G")")),
             Catch::Contains("BAR0 is at 0xfdc00000, where none of 1G can be: give at most 4M"));
}

TEST_CASE("a BAR holds all of its MSI-X table and pending bits", "[dump]") {
  CHECK_THAT(Wrong(kNvme + std::string(R"("8K")")),
             Catch::Contains("8K is too small: in \"nvme.config\" the MSI-X table ends at 0x2410: "
                             "give at least 16K"));
}

TEST_CASE("other models have no dump", "[dump]") {
  CHECK_THAT(Complaints(R"({"devices": [{"bdf": "0000:01:00.0", "model": "edu",
      "params": {"config": "x"}}], "groups": [{"id": 1, "members": ["0000:01:00.0"]}]})"),
             Catch::Contains(R"(edu has no parameter "config")"));
}

TEST_CASE("writable bits are told of all bytes or of none", "[dump]") {
  CHECK(Wrong(kNvme + std::string(R"("16K", "writable": "nvme.writable")")) == "");
  CHECK(Wrong(kNvme + std::string(R"("16K", "writable": "e1000.writable")")) ==
        "/devices/0/params/writable: \"e1000.writable\" has 256 bytes, \"nvme.config\" has 4096: "
        "give two files of the same device");
}

TEST_CASE("the machines of the referee load", "[dump]") {
  for (const auto& [name, devices] :
       {std::pair{"referee", 13u}, {"variety", 15u}, {"unsafe", 6u}}) {
    const auto loaded = LoadFile(kSourceDir + "/tests/referee/machines/" + name + "/topology.json",
                                 fake_devices::Models());
    if (!loaded) FAIL(ToString(loaded.error()));
    CHECK(loaded->devices.size() == devices);
  }
}

namespace {

// What is wrong with an edu that has these keys, too.
std::string WrongEdu(const std::string& keys) {
  return Complaints(fmt::format(R"({{"devices": [{{"bdf": "0000:01:00.0", "model": "edu", {}}}],
      "groups": [{{"id": 1, "members": ["0000:01:00.0"]}}]}})",
                                keys));
}

}  // namespace

TEST_CASE("a ROM is a file that can be read", "[dump]") {
  CHECK_THAT(WrongEdu(R"("rom": "none")"),
             Catch::Contains("/devices/0/rom: \"none\" cannot be read: No such file"));
  CHECK_THAT(WrongEdu(R"("rom": "/dev/null")"), Catch::Contains("cannot be read"));
  CHECK_THAT(WrongEdu(R"("rom": 7)"), Catch::Contains("7 is not a string"));
}

TEST_CASE("a virtual function belongs to another device, with SR-IOV", "[dump]") {
  CHECK_THAT(
      WrongEdu(R"("physical_function": "0000:01:00.0")"),
      Catch::Contains("/devices/0/physical_function: there is no other device 0000:01:00.0"));
  CHECK_THAT(WrongEdu(R"("physical_function": "0000:02:00.0")"),
             Catch::Contains("there is no other device 0000:02:00.0"));
  CHECK_THAT(Complaints(R"({"devices": [
      {"bdf": "0000:01:00.0", "model": "edu"},
      {"bdf": "0000:01:00.1", "model": "edu", "physical_function": "0000:01:00.0"}],
      "groups": [{"id": 1, "members": ["0000:01:00.0", "0000:01:00.1"]}]})"),
             Catch::Contains("0000:01:00.0 has no SR-IOV capability"));
}

}  // namespace vfiolab::topology
