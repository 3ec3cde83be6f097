// What loads and stores that are made for a stopped thread reach, and what they leave alone.
#include <catch2/catch.hpp>

#include "support/fake_thread.hpp"

namespace vfiolab {
namespace {

using test::FakeThread;
using test::SameGeneral;
using test::ThreadState;

// A thread with its data at 0x10000, r8 pointing at it.
struct Bench {
  static constexpr u64 kData = 0x10000;
  ThreadState state;
  FakeThread thread{state, kData};

  Bench() {
    state.data.resize(4096);
    state.general.r8 = kData;
    state.general.rip = 0x400000;
  }
  Result<> Execute(std::initializer_list<int> bytes, u64 fault = kData) {
    std::vector<std::byte> code;
    for (const int byte : bytes) code.push_back(static_cast<std::byte>(byte));
    return mmio::Execute(code, fault, thread);
  }
};

}  // namespace

TEST_CASE("a load is one access and a store is one, of the width of the operand", "[mmio]") {
  Bench bench;
  REQUIRE(bench.Execute({0x41, 0x8b, 0x00}));  // mov eax, [r8]
  CHECK(bench.thread.loads == 1);
  CHECK(bench.thread.stores == 0);
  CHECK(bench.state.general.rip == 0x400003);
  REQUIRE(bench.Execute({0x41, 0x88, 0x00}));  // mov [r8], al
  CHECK(bench.thread.loads == 1);
  CHECK(bench.thread.stores == 1);
  REQUIRE(bench.Execute({0xf0, 0x41, 0x83, 0x08, 1}));  // lock or dword [r8], 1
  CHECK(bench.thread.loads == 2);
  CHECK(bench.thread.stores == 2);
}

TEST_CASE("what is not known is refused with its bytes, and nothing happens", "[mmio]") {
  const std::initializer_list<int> refused[] = {
      {0x41, 0xf7, 0x30},                    // div dword [r8]
      {0x41, 0xd9, 0x00},                    // fld dword [r8]
      {0x41, 0xdf, 0x28},                    // fild qword [r8]
      {0x41, 0x8e, 0x18},                    // mov ds, [r8]
      {0x41, 0xff, 0x10},                    // call [r8]
      {0x41, 0xff, 0x20},                    // jmp [r8]
      {0x41, 0x0f, 0xae, 0x20},              // xsave [r8]
      {0x41, 0x0f, 0xae, 0x10},              // ldmxcsr [r8]
      {0x41, 0x0f, 0x58, 0x00},              // addps xmm0, [r8]
      {0xc4, 0xc2, 0x79, 0x2c, 0x00},        // vmaskmovps xmm0, xmm0, [r8]
      {0xc4, 0xc2, 0x79, 0x92, 0x0c, 0x00},  // vgatherdps
      {0x66, 0x0f, 0xf7, 0xc1},              // maskmovdqu
      {0x41, 0x0f, 0x01, 0x10},              // lgdt [r8]
      {0x0f, 0x05},                          // syscall
      {0x06},                                // not an instruction
      {},                                    // nothing could be read
  };
  for (const auto& code : refused) {
    Bench bench;
    const auto done = bench.Execute(code);
    CAPTURE(code.size() > 0 ? *code.begin() : -1);
    REQUIRE_FALSE(done);
    CHECK(done.error().code == ENOTSUP);
    CHECK(bench.thread.loads + bench.thread.stores == 0);
    CHECK(bench.state.general.rip == 0x400000);
  }
  Bench bench;
  CHECK(bench.Execute({0x41, 0xf7, 0x30}).error().reason.starts_with("41 f7 30 (div"));
}

TEST_CASE("an operand elsewhere than the fault is refused", "[mmio]") {
  Bench bench;
  CHECK(bench.Execute({0x41, 0x8b, 0x00}, Bench::kData + 4).error().code == ENOTSUP);
  CHECK(bench.Execute({0x41, 0x8b, 0x00}, Bench::kData + 3));
}

TEST_CASE("an access that fails leaves the registers as they were", "[mmio]") {
  Bench bench;
  bench.thread.broken_from = Bench::kData;
  bench.state.general.rax = 5;
  const user_regs_struct before = bench.state.general;
  for (const auto& code : {std::initializer_list<int>{0x41, 0x8b, 0x00},  // mov eax, [r8]
                           {0x41, 0x89, 0x00},                            // mov [r8], eax
                           {0x41, 0x01, 0x00},                            // add [r8], eax
                           {0x41, 0x87, 0x00},                            // xchg [r8], eax
                           {0x41, 0xff, 0x30}}) {                         // push [r8]
    CHECK(bench.Execute(code).error().code == EIO);
    CHECK(SameGeneral(before, bench.state.general));
  }
}

TEST_CASE("a repeated store stops where an element fails, and can go on", "[mmio]") {
  Bench bench;
  bench.thread.broken_from = Bench::kData + 8;
  bench.state.general.rdi = Bench::kData;
  bench.state.general.rcx = 5;
  CHECK(bench.Execute({0xf3, 0xab}).error().code == EIO);  // rep stosd
  CHECK(bench.state.general.rcx == 3);
  CHECK(bench.state.general.rdi == Bench::kData + 8);
  CHECK(bench.state.general.rip == 0x400000);
  bench.thread.broken_from = ~u64{0};
  CHECK(bench.Execute({0xf3, 0xab}));
  CHECK(bench.state.general.rcx == 0);
  CHECK(bench.state.general.rip == 0x400002);
}

TEST_CASE("a long repetition is interrupted between two elements", "[mmio]") {
  Bench bench;
  bench.state.general.rdi = Bench::kData;
  bench.state.general.rcx = 1000;
  int rounds = 0;
  while (bench.state.general.rip == 0x400000) {
    REQUIRE(bench.Execute({0xf3, 0xaa}));  // rep stosb
    REQUIRE(++rounds < 1000);
  }
  CHECK(rounds > 1);
  CHECK(bench.thread.stores == 1000);
  CHECK(bench.state.general.rcx == 0);
}

TEST_CASE("a line of cache that is flushed is no access", "[mmio]") {
  Bench bench;
  CHECK(bench.Execute({0x41, 0x0f, 0xae, 0x38}));  // clflush [r8]
  CHECK(bench.thread.loads + bench.thread.stores == 0);
  CHECK(bench.state.general.rip == 0x400004);
}

TEST_CASE("mov with an address of 64 bits in the instruction is known", "[mmio]") {
  Bench bench;
  bench.state.data[0] = std::byte{0x7f};
  REQUIRE(bench.Execute({0xa0, 0, 0, 1, 0, 0, 0, 0, 0}));  // mov al, [0x10000]
  CHECK((bench.state.general.rax & 0xff) == 0x7f);
  bench.state.general.rax = 0x1122334455667788;
  REQUIRE(bench.Execute({0x48, 0xa3, 0, 0, 1, 0, 0, 0, 0, 0}));  // mov [0x10000], rax
  CHECK(LoadLittleEndian(bench.state.data) == 0x1122334455667788);
}

}  // namespace vfiolab
