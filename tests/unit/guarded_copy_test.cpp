// Copies that meet memory which is not there.
#include "process/guarded_copy.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "base/bytes.hpp"
#include "base/unique_fd.hpp"

using namespace vfiolab;

namespace {

// Catch2 sets its own handlers for each test.
struct Guarded {
  Guarded() { ExpectFaults(); }
};

// Two pages, of which `protection` is that of the second.
std::byte* TwoPages(int protection) {
  void* pages =
      ::mmap(nullptr, 2 * kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(pages != MAP_FAILED);
  auto* bytes = static_cast<std::byte*>(pages);
  REQUIRE(::mprotect(bytes + kPageSize, kPageSize, protection) == 0);
  return bytes;
}

}  // namespace

TEST_CASE_METHOD(Guarded, "a guarded copy moves what is there, of any size and alignment",
                 "[guarded]") {
  std::mt19937 random(Catch::rngSeed());
  std::vector<std::byte> from(1000), to(1000);
  for (auto& byte : from) byte = static_cast<std::byte>(random());
  for (std::size_t size = 0; size < 300; ++size) {
    const std::size_t at = random() % 16, there = random() % 16;
    std::ranges::fill(to, std::byte{0});
    REQUIRE(GuardedCopy(to.data() + there, from.data() + at, size));
    CHECK(std::memcmp(to.data() + there, from.data() + at, size) == 0);
    CHECK(to[there + size] == std::byte{0});
  }
}

TEST_CASE_METHOD(Guarded,
                 "a guarded copy stops where memory is missing or forbidden, on either side",
                 "[guarded]") {
  std::vector<std::byte> mine(2 * kPageSize);
  for (const std::size_t size : {1, 2, 4, 8, 24, 200, 5000}) {
    std::byte* none = TwoPages(PROT_NONE);
    const std::size_t inside = std::min<std::size_t>(size, kPageSize);
    CHECK(GuardedCopy(mine.data(), none + kPageSize - inside, inside));
    CHECK_FALSE(GuardedCopy(mine.data(), none + kPageSize - inside + 1, size));
    CHECK_FALSE(GuardedCopy(none + kPageSize - inside + 1, mine.data(), size));
    CHECK_FALSE(GuardedCopy(mine.data(), none + kPageSize, size));
    CHECK_FALSE(GuardedCopy(mine.data(), reinterpret_cast<void*>(u64{1} << 63), size));
    CHECK_FALSE(GuardedCopy(nullptr, mine.data(), size));
    std::byte* read_only = TwoPages(PROT_READ);
    CHECK(GuardedCopy(mine.data(), read_only + kPageSize - 1, 2));
    CHECK_FALSE(GuardedCopy(read_only + kPageSize - 1, mine.data(), 2));
    ::munmap(none, 2 * kPageSize);
    ::munmap(read_only, 2 * kPageSize);
  }
}

TEST_CASE_METHOD(Guarded, "a touch tells whether a byte can be read, and written, and leaves it",
                 "[guarded]") {
  std::byte* pages = TwoPages(PROT_READ);
  pages[7] = std::byte{0x5a};
  CHECK(GuardedTouch(pages + 7, true));
  CHECK(pages[7] == std::byte{0x5a});
  CHECK(GuardedTouch(pages + kPageSize, false));
  CHECK_FALSE(GuardedTouch(pages + kPageSize, true));
  ::munmap(pages, 2 * kPageSize);
  CHECK_FALSE(GuardedTouch(pages, false));
}

TEST_CASE_METHOD(Guarded, "a page that a file has lost ends a guarded copy", "[guarded]") {
  const UniqueFd file(::memfd_create("lost", MFD_CLOEXEC));
  REQUIRE(::ftruncate(file.get(), kPageSize) == 0);
  void* page = ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  u64 word = 0;
  CHECK(GuardedCopy(&word, page, sizeof word));
  REQUIRE(::ftruncate(file.get(), 0) == 0);
  CHECK_FALSE(GuardedCopy(&word, page, sizeof word));
  CHECK_FALSE(GuardedCopy(page, &word, sizeof word));
  ::munmap(page, kPageSize);
}

TEST_CASE_METHOD(Guarded, "threads that copy do not disturb each other", "[guarded]") {
  std::byte* none = TwoPages(PROT_NONE);
  std::atomic<int> wrong{0};
  const auto many = [&](bool there) {
    std::array<std::byte, 64> mine{};
    for (int i = 0; i < 20000; ++i)
      if (GuardedCopy(mine.data(), there ? none : none + kPageSize, mine.size()) != there) ++wrong;
  };
  std::thread good(many, true), bad(many, false), also_bad(many, false);
  good.join(), bad.join(), also_bad.join();
  CHECK(wrong == 0);
  ::munmap(none, 2 * kPageSize);
}
