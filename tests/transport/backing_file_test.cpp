// The memory behind a device's mappings, and what clients who have it mapped can do to it.
#include "host_memory/backing_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

using namespace vfiolab;

namespace {

constexpr u64 kPage = 4096;

std::byte* MapAsClient(const BackingFile& file, u64 offset) {
  void* at = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(),
                    static_cast<off_t>(offset));
  REQUIRE(at != MAP_FAILED);
  return static_cast<std::byte*>(at);
}

}  // namespace

TEST_CASE("a page that a client has punched out of a full file is there for the emulator") {
  BackingFile file("test");
  const std::span<std::byte> memory = file.Allocate(0, kPage);
  file.Trap(kPage, kPage);
  file.SetReachable(true);
  REQUIRE(file.fd() >= 0);
  std::byte* page = MapAsClient(file, 0);
  std::byte* registers = MapAsClient(file, kPage);
  REQUIRE(::madvise(page, kPage, MADV_REMOVE) == 0);
  *registers = std::byte{1};  // takes the block that became free
  std::memset(memory.data(), 7, kPage);
  CHECK(memory[0] == std::byte{7});
  file.SetReachable(false);
  std::memset(memory.data(), 8, kPage);
  CHECK(memory[kPage - 1] == std::byte{8});
  ::munmap(page, kPage);
  ::munmap(registers, kPage);
}

TEST_CASE("a page that a client has punched out of a file reads as zeros") {
  BackingFile file("test");
  const std::span<std::byte> memory = file.Allocate(0, kPage);
  file.SetReachable(true);
  std::memset(memory.data(), 7, kPage);
  std::byte* page = MapAsClient(file, 0);
  REQUIRE(::madvise(page, kPage, MADV_REMOVE) == 0);
  CHECK(memory[0] == std::byte{0});
  memory[0] = std::byte{9};
  CHECK(*page == std::byte{9});
  ::munmap(page, kPage);
}

TEST_CASE("somebody who opens a file while it is looked whether it is in use disturbs nobody") {
  BackingFile file("test");
  file.Allocate(0, kPage);
  file.SetReachable(true);
  const std::string path = "/proc/self/fd/" + std::to_string(file.fd());
  std::atomic<bool> done{false};
  std::thread client([&] {
    while (!done) ::close(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  });
  constexpr int kLooks = 20000;
  int in_use = 0;
  for (int i = 0; i < kLooks; ++i) in_use += BackingFile::IsInUse(file.fd()) ? 1 : 0;
  done = true;
  client.join();
  CHECK(in_use > 0);
  CHECK_FALSE(BackingFile::IsInUse(file.fd()));
}
