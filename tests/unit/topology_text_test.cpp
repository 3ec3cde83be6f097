#include <limits>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "topology/edit_distance.hpp"
#include "topology/source_place.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {

TEST_CASE("a number is decimal, hexadecimal or a size", "[topology]") {
  CHECK(ParseNumber("0") == 0u);
  CHECK(ParseNumber("4096") == 4096u);
  CHECK(ParseNumber("0xfee00000") == 0xfee00000u);
  CHECK(ParseNumber("0xFEE") == 0xfeeu);
  CHECK(ParseNumber("64K") == 64_KiB);
  CHECK(ParseNumber("2M") == 2_MiB);
  CHECK(ParseNumber("1G") == 1_GiB);
  CHECK(ParseNumber("3T") == 3072_GiB);
  CHECK(ParseNumber("18446744073709551615") == std::numeric_limits<u64>::max());
  CHECK(ParseNumber("0xffffffffffffffff") == std::numeric_limits<u64>::max());
  CHECK(ParseNumber("18014398509481983K") == std::numeric_limits<u64>::max() - 1023);
}

TEST_CASE("what is written otherwise, or too big, is no number", "[topology]") {
  for (const char* text :
       {"", " 1", "1 ", "-1", "+1", "0x", "0x-1", "x", "K", "0x1K", "4k", "4KB", "1.5", "1e3",
        "18446744073709551616", "0x10000000000000000", "18014398509481984K", "99999999999T"})
    CHECK_FALSE(ParseNumber(text));
}

TEST_CASE("a size is written with the biggest suffix that is exact, and reads back", "[topology]") {
  CHECK(FormatSize(0) == "0");
  CHECK(FormatSize(1023) == "1023");
  CHECK(FormatSize(1536) == "1536");
  CHECK(FormatSize(4096) == "4K");
  CHECK(FormatSize(3 * 1024 * 1024) == "3M");
  CHECK(FormatSize(1_GiB) == "1G");
  for (const u64 value : {u64{0}, u64{1}, u64{4097}, 64_KiB, u64{1} << 63, ~u64{0}})
    CHECK(ParseNumber(FormatSize(value)) == value);
}

TEST_CASE("a kind of reserved range reads back from its name", "[topology]") {
  for (const auto& [kind, name] : kReservedKinds) {
    CHECK(KindName(kind) == name);
    CHECK(ParseKind(name) == kind);
  }
  CHECK_FALSE(ParseKind("MSI"));
}

TEST_CASE("text from a file is quoted so that a terminal only prints it", "[topology]") {
  CHECK(Quote("edu") == R"("edu")");
  CHECK(Quote("a\"b\\c") == R"("a\"b\\c")");
  CHECK(Quote("\x1b[31m\x7f\n") == R"("\u001b[31m\u007f\n")");
  CHECK(Quote("\xc2\x9b") == R"("\u009b")");
  CHECK(Quote(std::string(1000, 'x')) == '"' + std::string(60, 'x') + "...\"");
  // The cut goes through the second byte of the last character.
  CHECK(Quote(std::string(59, 'x') + "\xc3\xbc!") == '"' + std::string(59, 'x') + "...\"");
  CHECK(PointerToken("a/b~c\n") == "a~1b~0c\\n");
}

TEST_CASE("values in messages are short", "[topology]") {
  CHECK(Show(nlohmann::json::parse("[1, 2]")) == "an array");
  CHECK(Show(nlohmann::json::parse("{}")) == "an object");
  CHECK(Show(-5) == "-5");
  CHECK(Show(nullptr) == "null");
  CHECK(Show("x") == R"("x")");
}

TEST_CASE("edit distance counts insertions, deletions, replacements and swaps", "[topology]") {
  CHECK(EditDistance("", "") == 0);
  CHECK(EditDistance("edu", "") == 3);
  CHECK(EditDistance("", "edu") == 3);
  CHECK(EditDistance("edu", "edu") == 0);
  CHECK(EditDistance("EDU", "edu") == 0);
  CHECK(EditDistance("edo", "edu") == 1);
  CHECK(EditDistance("deu", "edu") == 1);
  CHECK(EditDistance("ed", "edu") == 1);
  CHECK(EditDistance("eduu", "edu") == 1);
  CHECK(EditDistance("kitten", "sitting") == 3);
}

TEST_CASE("edit distance is exact up to its limit and above it beyond", "[topology]") {
  const std::vector<std::string> words = {"", "a", "ab", "ba", "abc", "cab", "acb", "bacd", "xyz"};
  for (const std::string& a : words)
    for (const std::string& b : words)
      for (std::size_t limit = 0; limit < 5; ++limit) {
        const std::size_t distance = EditDistance(a, b);
        CHECK(EditDistance(b, a) == distance);
        if (distance <= limit)
          CHECK(EditDistance(a, b, limit) == distance);
        else
          CHECK(EditDistance(a, b, limit) > limit);
      }
}

TEST_CASE("only what is near is suggested, and the nearest of it", "[topology]") {
  const std::vector<std::string> words = {"members", "membar", "id"};
  CHECK(Nearest("memebrs", words) == "members");
  CHECK(Nearest("membr", words) == "membar");
  CHECK(Nearest("ID", words) == "id");
  CHECK_FALSE(Nearest("xyz", words));
  CHECK_FALSE(Nearest(std::string(1'000'000, 'm'), words));
  CHECK_FALSE(Nearest("", {}));
  CHECK(DidYouMean("menbers", words, "no") == R"(did you mean "members"?)");
  CHECK(DidYouMean("xyz", words, "no") == "no");
  CHECK(OneOf(words, "no") == R"(give one of "members", "membar", "id")");
  CHECK(OneOf({"id"}, "no") == R"(give "id")");
  CHECK(OneOf({}, "no") == "no");
}

TEST_CASE("a place counts lines and characters from 1", "[topology]") {
  const std::string_view text =
      "ab\n\xc3\xbc"
      "cd\n";
  CHECK(PlaceOf(text, 0).ToString() == "1:1");
  CHECK(PlaceOf(text, 2).ToString() == "1:3");
  CHECK(PlaceOf(text, 3).ToString() == "2:1");
  CHECK(PlaceOf(text, 5).ToString() == "2:2");
  CHECK(PlaceOf(text, 8).ToString() == "3:1");
  CHECK(PlaceOf(text, 1000).ToString() == "3:1");
  CHECK(PlaceOf("", 0).ToString() == "1:1");
}

TEST_CASE("an excerpt has the caret under the place and no more than fits a line", "[topology]") {
  CHECK(Excerpt("ab\ncd", 4) == "  2 | cd\n    |  ^");
  CHECK(Excerpt("\ta\x1b!", 3) == "  1 |  a?!\n    |    ^");
  CHECK(Excerpt("", 0) == "  1 | \n    | ^");
  CHECK(Excerpt("ab\r\n", 1) == "  1 | ab\n    |  ^");
  CHECK(Excerpt(std::string(1'000'000, 'x'), 500'000) ==
        "  1 | ..." + std::string(75, 'x') + "...\n    | " + std::string(53, ' ') + "^");
}

}  // namespace vfiolab::topology
