// docs/supported.md says of every ioctl whether it is there: it may not drift from the tables.
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "vfio/device.hpp"

using namespace vfiolab;

namespace {

std::vector<std::string> Lines() {
  std::ifstream file(VFIOLAB_SOURCE_DIR "/docs/supported.md");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The rows "| `NAME` | supported | ..." of the document.
std::vector<std::string> Documented(std::string_view state) {
  std::vector<std::string> names;
  for (const std::string& line : Lines()) {
    if (!line.starts_with("| `VFIO_")) continue;
    const std::size_t end = line.find('`', 3);
    const std::size_t bar = line.find('|', end);
    if (line.substr(bar + 2).starts_with(state)) names.push_back(line.substr(3, end - 3));
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

TEST_CASE("docs/supported.md calls exactly the ioctls supported that the tables hold") {
  std::vector<std::string> in_tables;
  for (const auto& names : {vfio::ContainerFile::IoctlNames(), vfio::GroupFile::IoctlNames(),
                            vfio::DeviceFile::IoctlNames()})
    in_tables.insert(in_tables.end(), names.begin(), names.end());
  std::ranges::sort(in_tables);
  REQUIRE(!in_tables.empty());
  CHECK(Documented("supported") == in_tables);
}
