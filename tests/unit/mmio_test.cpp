// Loads and stores that are made for a stopped thread, compared with the processor's own.
#include <algorithm>
#include <cstdlib>

#include <catch2/catch.hpp>

#include "support/fake_thread.hpp"

namespace vfiolab {
namespace {

using test::FakeThread;
using test::Random;
using test::SameGeneral;
using test::SingleStep;
using test::ThreadState;

const char* const kGeneralForms[] = {"lock 00 /r",
                                     "lock o w 01 /r",
                                     "02 /r",
                                     "o w 03 /r",
                                     "lock 08 /r",
                                     "lock o w 09 /r",
                                     "0a /r",
                                     "o w 0b /r",
                                     "lock 10 /r",
                                     "lock o w 11 /r",
                                     "12 /r",
                                     "o w 13 /r",
                                     "lock 18 /r",
                                     "lock o w 19 /r",
                                     "1a /r",
                                     "o w 1b /r",
                                     "lock 20 /r",
                                     "lock o w 21 /r",
                                     "22 /r",
                                     "o w 23 /r",
                                     "lock 28 /r",
                                     "lock o w 29 /r",
                                     "2a /r",
                                     "o w 2b /r",
                                     "lock 30 /r",
                                     "lock o w 31 /r",
                                     "32 /r",
                                     "o w 33 /r",
                                     "38 /r",
                                     "o w 39 /r",
                                     "3a /r",
                                     "o w 3b /r",
                                     "84 /r",
                                     "o w 85 /r",
                                     "lock 86 /r",
                                     "lock o w 87 /r",
                                     "88 /r",
                                     "o w 89 /r",
                                     "8a /r",
                                     "o w 8b /r",
                                     "o w 8c /3",
                                     "lock 80 /0 ib",
                                     "lock 80 /1 ib",
                                     "80 /2 ib",
                                     "80 /3 ib",
                                     "80 /4 ib",
                                     "80 /5 ib",
                                     "80 /6 ib",
                                     "80 /7 ib",
                                     "lock o w 81 /0 iz",
                                     "o w 81 /1 iz",
                                     "o w 81 /2 iz",
                                     "o w 81 /3 iz",
                                     "o w 81 /4 iz",
                                     "o w 81 /5 iz",
                                     "o w 81 /6 iz",
                                     "o w 81 /7 iz",
                                     "lock o w 83 /0 ib",
                                     "o w 83 /1 ib",
                                     "o w 83 /2 ib",
                                     "o w 83 /3 ib",
                                     "o w 83 /4 ib",
                                     "o w 83 /5 ib",
                                     "o w 83 /6 ib",
                                     "o w 83 /7 ib",
                                     "c6 /0 ib",
                                     "o w c7 /0 iz",
                                     "d0 /0",
                                     "d0 /1",
                                     "d0 /2",
                                     "d0 /3",
                                     "d0 /4",
                                     "d0 /5",
                                     "d0 /7",
                                     "o w d1 /0",
                                     "o w d1 /1",
                                     "o w d1 /2",
                                     "o w d1 /3",
                                     "o w d1 /4",
                                     "o w d1 /5",
                                     "o w d1 /7",
                                     "d2 /0",
                                     "d2 /4",
                                     "o w d3 /1",
                                     "o w d3 /2",
                                     "o w d3 /4",
                                     "o w d3 /5",
                                     "o w d3 /7",
                                     "c0 /4 ib",
                                     "o w c1 /0 ib",
                                     "o w c1 /3 ib",
                                     "o w c1 /4 ib",
                                     "o w c1 /5 ib",
                                     "o w c1 /7 ib",
                                     "f6 /0 ib",
                                     "lock f6 /2",
                                     "lock f6 /3",
                                     "f6 /4",
                                     "f6 /5",
                                     "o w f7 /0 iz",
                                     "lock o w f7 /2",
                                     "lock o w f7 /3",
                                     "o w f7 /4",
                                     "o w f7 /5",
                                     "lock fe /0",
                                     "lock fe /1",
                                     "lock o w ff /0",
                                     "lock o w ff /1",
                                     "o w 69 /r iz",
                                     "o w 6b /r ib",
                                     "o w 63 /r",
                                     "o w 0f 40 /r",
                                     "o w 0f 45 /r",
                                     "o w 0f 4c /r",
                                     "0f 92 /0",
                                     "0f 94 /0",
                                     "0f 9f /0",
                                     "o w 0f a3 /r bit",
                                     "lock o w 0f ab /r bit",
                                     "lock o w 0f b3 /r bit",
                                     "lock o w 0f bb /r bit",
                                     "o w 0f ba /4 ib",
                                     "lock o w 0f ba /5 ib",
                                     "lock o w 0f ba /6 ib",
                                     "lock o w 0f ba /7 ib",
                                     "o w 0f a4 /r ib",
                                     "o w 0f a5 /r",
                                     "o w 0f ac /r ib",
                                     "o w 0f ad /r",
                                     "o w 0f af /r",
                                     "lock equal 0f b0 /r",
                                     "lock equal o w 0f b1 /r",
                                     "o w 0f b6 /r",
                                     "o w 0f b7 /r",
                                     "o w 0f be /r",
                                     "o w 0f bf /r",
                                     "lock 0f c0 /r",
                                     "lock o w 0f c1 /r",
                                     "w 0f c3 /r",
                                     "o w 0f bc /r",
                                     "o w 0f bd /r",
                                     "lock equal 0f c7 /1",
                                     "lock equal W aligned 0f c7 /1",
                                     "stack o ff /6",
                                     "stack o 8f /0",
                                     "string rep a4",
                                     "string rep o w a5",
                                     "string rep a6",
                                     "string rep o w a7",
                                     "string rep aa",
                                     "string rep o w ab",
                                     "string rep ac",
                                     "string rep o w ad",
                                     "string rep ae",
                                     "string rep o w af"};

const char* const kSseForms[] = {"0f 10 /r",
                                 "66 0f 10 /r",
                                 "f3 0f 10 /r",
                                 "f2 0f 10 /r",
                                 "0f 11 /r",
                                 "66 0f 11 /r",
                                 "f3 0f 11 /r",
                                 "f2 0f 11 /r",
                                 "aligned 0f 28 /r",
                                 "aligned 66 0f 28 /r",
                                 "aligned 0f 29 /r",
                                 "aligned 66 0f 29 /r",
                                 "aligned 66 0f 6f /r",
                                 "f3 0f 6f /r",
                                 "0f 6f /r",
                                 "aligned 66 0f 7f /r",
                                 "f3 0f 7f /r",
                                 "0f 7f /r",
                                 "66 w 0f 6e /r",
                                 "66 w 0f 7e /r",
                                 "w 0f 6e /r",
                                 "w 0f 7e /r",
                                 "66 0f d6 /r",
                                 "f3 0f 7e /r",
                                 "aligned 66 0f e7 /r",
                                 "0f e7 /r",
                                 "aligned 0f 2b /r",
                                 "0f 12 /r",
                                 "0f 13 /r",
                                 "0f 16 /r",
                                 "0f 17 /r",
                                 "66 0f 12 /r",
                                 "66 0f 13 /r",
                                 "aligned 66 0f 74 /r",
                                 "aligned 66 0f 75 /r",
                                 "aligned 66 0f 76 /r",
                                 "aligned 66 0f ef /r",
                                 "aligned 66 0f db /r",
                                 "aligned 66 0f eb /r",
                                 "aligned 66 0f da /r",
                                 "aligned 66 0f d4 /r",
                                 "aligned 66 0f fb /r",
                                 "66 0f c4 /r ib",
                                 "aligned 66 0f 70 /r ib",
                                 "aligned 66 0f 6c /r",
                                 "aligned 0f 54 /r"};

const char* const kSse42Forms[] = {"f2 0f f0 /r",
                                   "f2 0f 12 /r",
                                   "aligned f3 0f 12 /r",
                                   "66 0f 3a 20 /r ib",
                                   "66 w 0f 3a 22 /r ib",
                                   "66 0f 3a 14 /r ib",
                                   "66 0f 3a 15 /r ib",
                                   "66 w 0f 3a 16 /r ib",
                                   "aligned 66 0f 38 2a /r",
                                   "aligned 66 0f 38 00 /r",
                                   "aligned 66 0f 38 29 /r",
                                   "f2 0f 38 f0 /r",
                                   "f2 w 0f 38 f1 /r",
                                   "f3 w 0f b8 /r"};

const char* const kAvx2Forms[] = {
    "vex.0.1.x.x 10 /r",         "vex.1.1.x.x 10 /r",         "vex.2.1.x.0 10 /r",
    "vex.3.1.x.0 10 /r",         "vex.0.1.x.x 11 /r",         "vex.1.1.x.x 11 /r",
    "vex.2.1.x.0 11 /r",         "vex.3.1.x.0 11 /r",         "aligned vex.0.1.x.x 28 /r",
    "aligned vex.1.1.x.x 29 /r", "aligned vex.1.1.x.x 6f /r", "vex.2.1.x.x 6f /r",
    "aligned vex.1.1.x.x 7f /r", "vex.2.1.x.x 7f /r",         "vex.1.1.x.0 6e /r",
    "vex.1.1.x.0 7e /r",         "vex.1.1.x.0 d6 /r",         "vex.2.1.x.0 7e /r",
    "aligned vex.1.1.x.x e7 /r", "vex.3.1.x.x f0 /r",         "vex.1.1.x.x.v ef /r",
    "vex.1.1.x.x.v 74 /r",       "vex.1.1.x.x.v d4 /r",       "vex.1.1.x.x 70 /r ib",
    "vex.1.2.0.x 18 /r",         "vex.1.2.0.1 19 /r",         "vex.1.2.0.1 1a /r",
    "vex.1.2.0.x 58 /r",         "vex.1.2.0.x 59 /r",         "vex.1.2.0.x 78 /r",
    "vex.1.2.0.x 79 /r",         "vex.1.2.0.1 5a /r",         "aligned vex.1.2.x.x 2a /r",
    "vex.1.3.0.1.v 18 /r ib",    "vex.1.3.0.1 19 /r ib",      "vex.1.3.0.1.v 38 /r ib",
    "vex.1.3.0.1 39 /r ib",      "vex.1.3.x.0.v 22 /r ib",    "vex.1.3.x.0 16 /r ib"};

const char* const kBmi2Forms[] = {
    "vex.0.2.x.0.v f2 /r", "vex.0.2.x.0.v f5 /r",  "vex.3.2.x.0.v f6 /r", "vex.2.2.x.0.v f5 /r",
    "vex.3.2.x.0.v f5 /r", "vex.0.2.x.0.v f7 /r",  "vex.1.2.x.0.v f7 /r", "vex.2.2.x.0.v f7 /r",
    "vex.3.2.x.0.v f7 /r", "vex.3.3.x.0 f0 /r ib", "o w f3 0f bc /r",     "o w f3 0f bd /r"};

const char* const kMovbeForms[] = {"o w 0f 38 f0 /r", "o w 0f 38 f1 /r"};

u64 RandomSeed() {
  const char* given = std::getenv("VFIOLAB_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
}

constexpr std::size_t kMxcsr = 24, kStack = 32, kXmm = 160, kParts = 512, kYmmHigh = 576;

ThreadState RandomState(const SingleStep& step, Random& random) {
  ThreadState state = step.start();
  constexpr u64 kArithmeticFlags = 0x8d5;
  auto* registers = &state.general;
  for (auto* reg : {&registers->rax, &registers->rbx, &registers->rcx, &registers->rdx,
                    &registers->rsi, &registers->rdi, &registers->rbp, &registers->rsp,
                    &registers->r8, &registers->r9, &registers->r10, &registers->r11,
                    &registers->r12, &registers->r13, &registers->r14, &registers->r15})
    *reg = random();
  registers->eflags = (random() & kArithmeticFlags) | 0x202;
  registers->rip = step.code() + 64 + random() % 1024;
  registers->orig_rax = ~0ull;
  const auto fill = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < std::min(to, state.vector.size()); ++i)
      state.vector[i] = static_cast<std::byte>(random());
  };
  fill(kStack, kXmm);
  fill(kXmm, kXmm + 256);
  u64 parts = 3;
  if (__builtin_cpu_supports("avx")) {
    parts |= 4;
    fill(kYmmHigh, kYmmHigh + 256);
  }
  std::memcpy(&state.vector[kParts], &parts, sizeof parts);
  for (std::byte& byte : state.data) byte = static_cast<std::byte>(random());
  return state;
}

std::string HexOf(std::span<const std::byte> bytes) {
  std::string text;
  char digits[4];
  for (const std::byte byte : bytes) {
    std::snprintf(digits, sizeof digits, "%02x ", std::to_integer<unsigned>(byte));
    text += digits;
  }
  return text;
}

// Where two images differ, in what an instruction can change.
bool SameVector(const ThreadState& a, const ThreadState& b) {
  const auto same = [&](std::size_t from, std::size_t to) {
    to = std::min({to, a.vector.size(), b.vector.size()});
    return from >= to || std::memcmp(&a.vector[from], &b.vector[from], to - from) == 0;
  };
  const auto same_stack = [&] {  // each register has ten bytes of sixteen
    for (std::size_t i = 0; i < 8; ++i)
      if (!same(kStack + 16 * i, kStack + 16 * i + 10)) return false;
    return true;
  };
  const bool avx = __builtin_cpu_supports("avx");
  return same(0, 5) && same(kMxcsr, kMxcsr + 4) && same_stack() && same(kXmm, kXmm + 256) &&
         (!avx || same(kYmmHigh, kYmmHigh + 256));
}

// Executes one random instruction of the form both ways.
void CompareOnce(const std::string& form, SingleStep& step, Random& random) {
  ThreadState native = RandomState(step, random);
  u64 operand = 0;
  const auto code = test::MakeInstruction(form, step, random, native, operand);
  ThreadState emulated = native;
  const u64 rip = native.general.rip;
  INFO(form << ": " << HexOf(code) << "operand " << operand - step.data());
  bool stepped = true;
  while (stepped && native.general.rip == rip) stepped = step.Step(code, native);
  REQUIRE(stepped);
  FakeThread thread(emulated, step.data());
  const auto done = mmio::Execute(code, operand, thread);
  if (!done) FAIL(done.error().reason);
  if (!SameGeneral(native.general, emulated.general)) {
    const auto* left = reinterpret_cast<const u64*>(&native.general);
    const auto* right = reinterpret_cast<const u64*>(&emulated.general);
    for (std::size_t i = 0; i < sizeof(user_regs_struct) / 8; ++i)
      if (left[i] != right[i])
        UNSCOPED_INFO("register " << i << ": " << left[i] << " " << right[i]);
    FAIL("registers differ");
  }
  CHECK(native.data == emulated.data);
  CHECK(SameVector(native, emulated));
}

void CompareAll(std::span<const char* const> forms) {
  const u64 seed = RandomSeed();
  CAPTURE(seed);
  Random random(seed);
  SingleStep step;
  for (const char* form : forms)
    for (int i = 0; i < 40; ++i) CompareOnce(form, step, random);
}

}  // namespace

TEST_CASE("an instruction on general registers does what the processor does", "[mmio]") {
  CompareAll(kGeneralForms);
}

TEST_CASE("an SSE instruction does what the processor does", "[mmio]") { CompareAll(kSseForms); }

TEST_CASE("what newer processors added does what they do", "[mmio]") {
  if (__builtin_cpu_supports("sse4.2")) CompareAll(kSse42Forms);
  if (__builtin_cpu_supports("avx2")) CompareAll(kAvx2Forms);
  if (__builtin_cpu_supports("bmi2")) CompareAll(kBmi2Forms);
  unsigned eax = 1, ebx = 0, ecx = 0, edx = 0;
  asm("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
  if (ecx & 1u << 22) CompareAll(kMovbeForms);
}

}  // namespace vfiolab
