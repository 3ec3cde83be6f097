#include <fcntl.h>

#include <catch2/catch.hpp>

#include "support/fake_client.hpp"
#include "vfs/node.hpp"

namespace vfiolab {
namespace {

TEST_CASE("A file of text can be read from anywhere, and is made anew where no read ended") {
  int shows = 0;
  TextFile node([&] { return "text " + std::to_string(++shows) + "\n"; });
  test::FakeClient client;
  const auto file = node.Open(client, O_RDONLY).completion().opened;
  const auto read = [&](u64 offset) {
    std::array<char, 4> bytes{};
    Reply reply = file->Read(client, BytesOf(bytes), offset);
    return std::string(bytes.data(), static_cast<std::size_t>(*reply.completion().value));
  };
  CHECK(read(2) == "xt 1");
  CHECK(read(6) == "\n");
  CHECK(read(7).empty());
  CHECK(read(4) == " 2\n");
  CHECK(read(100).empty());
  CHECK(read(0) == "text");
  CHECK(read(4) == " 4\n");
}

}  // namespace
}  // namespace vfiolab
