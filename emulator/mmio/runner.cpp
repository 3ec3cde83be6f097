#include "mmio/runner.hpp"

#include <cpuid.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace vfiolab::mmio {
namespace {

constexpr std::size_t kLargestVector = 16384;

// What vfiolab_mmio_run uses; the offsets are in its text, too.
struct RunState {
  user_regs_struct registers;  // 0
  u64 stack;                   // 216
  void* entry;                 // 224
  u64 vector_mask;             // 232: which parts of the image, 0 for none
  void* vector;                // 240
  const void* own_vector;      // 248
};
static_assert(offsetof(RunState, stack) == 216 && sizeof(RunState) == 256);
static_assert(offsetof(user_regs_struct, eflags) == 144 && offsetof(user_regs_struct, rsp) == 152);

}  // namespace

extern "C" {
[[gnu::visibility("hidden")]] extern RunState vfiolab_mmio_state;
[[gnu::visibility("hidden")]] void vfiolab_mmio_run();
[[gnu::visibility("hidden")]] void vfiolab_mmio_return();
RunState vfiolab_mmio_state{};
}

// mov, lea and jmp leave the flags alone; so they are the client's from popfq to pushfq.
asm(R"(
  .text
  .hidden vfiolab_mmio_run
  .globl vfiolab_mmio_run
  .type vfiolab_mmio_run, @function
vfiolab_mmio_run:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  sub $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  lea vfiolab_mmio_state(%rip), %rbx
  mov %rsp, 216(%rbx)
  mov 232(%rbx), %eax
  xor %edx, %edx
  test %eax, %eax
  jz 1f
  mov 240(%rbx), %rcx
  xrstor64 (%rcx)
1:
  push 144(%rbx)
  popfq
  mov 0(%rbx), %r15
  mov 8(%rbx), %r14
  mov 16(%rbx), %r13
  mov 24(%rbx), %r12
  mov 32(%rbx), %rbp
  mov 48(%rbx), %r11
  mov 56(%rbx), %r10
  mov 64(%rbx), %r9
  mov 72(%rbx), %r8
  mov 80(%rbx), %rax
  mov 88(%rbx), %rcx
  mov 96(%rbx), %rdx
  mov 104(%rbx), %rsi
  mov 112(%rbx), %rdi
  mov 152(%rbx), %rsp
  mov 40(%rbx), %rbx
  jmp *224+vfiolab_mmio_state(%rip)
  .hidden vfiolab_mmio_return
  .globl vfiolab_mmio_return
vfiolab_mmio_return:
  mov %rbx, 40+vfiolab_mmio_state(%rip)
  lea vfiolab_mmio_state(%rip), %rbx
  mov %r15, 0(%rbx)
  mov %r14, 8(%rbx)
  mov %r13, 16(%rbx)
  mov %r12, 24(%rbx)
  mov %rbp, 32(%rbx)
  mov %r11, 48(%rbx)
  mov %r10, 56(%rbx)
  mov %r9, 64(%rbx)
  mov %r8, 72(%rbx)
  mov %rax, 80(%rbx)
  mov %rcx, 88(%rbx)
  mov %rdx, 96(%rbx)
  mov %rsi, 104(%rbx)
  mov %rdi, 112(%rbx)
  mov %rsp, 152(%rbx)
  mov 216(%rbx), %rsp
  pushfq
  pop 144(%rbx)
  mov 232(%rbx), %eax
  xor %edx, %edx
  test %eax, %eax
  jz 2f
  mov 240(%rbx), %rcx
  xsave64 (%rcx)
  mov 248(%rbx), %rcx
  xrstor64 (%rcx)
2:
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  add $8, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret
  .size vfiolab_mmio_run, . - vfiolab_mmio_run
)");

namespace {

// Where instructions are put, each in a slot, and behind them the operand. One that is there
// already is not put again: the processor does not like code to change.
struct Stage {
  static constexpr std::size_t kSlots = 32;
  std::byte code[kSlots][kPageSize / kSlots];
  alignas(64) std::byte operand[64];
};
Template in_slot[Stage::kSlots];
std::size_t current_slot = 0;

std::size_t SlotOf(const Template& instruction) {
  u64 mixed = 0;
  std::memcpy(&mixed, instruction.bytes.data(), sizeof mixed);
  mixed ^= instruction.reg ^ LoadLittleEndian(instruction.immediate) << 8;
  return (mixed * 0x9e3779b97f4a7c15) >> 59;
}
static_assert(Stage::kSlots == std::size_t{1} << (64 - 59));

// Null where no memory can be both written and executed.
Stage* TheStage() {
  static void* const memory = ::mmap(nullptr, sizeof(Stage), PROT_READ | PROT_WRITE | PROT_EXEC,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<Stage*>(memory);
}

// x87, SSE, AVX and AVX-512, as far as the processor and the kernel have them; 0 without XSAVE.
u64 VectorMask() {
  static const u64 mask = [] {
    constexpr u64 kOurs = 0xe7;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_OSXSAVE) == 0) return u64{0};
    asm("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax & kOurs;
  }();
  return mask;
}

// The vector registers as a program finds them at its start.
const void* FreshVector() {
  alignas(64) static std::byte image[kLargestVector];
  constexpr u32 kMxcsr = 0x1f80;
  constexpr std::size_t kMxcsrOffset = 24;
  std::memcpy(image + kMxcsrOffset, &kMxcsr, sizeof kMxcsr);
  return image;
}

constexpr std::size_t kModRm = 1, kDisplacement = 4;

// The instruction with the stage's operand, and then the way back.
void Put(const Template& instruction, Stage& stage, std::size_t slot) {
  std::byte* at = stage.code[slot];
  const auto put = [&](const void* bytes, std::size_t count) {
    std::memcpy(at, bytes, count);
    at += count;
  };
  put(instruction.bytes.data(), instruction.before);
  const auto modrm = static_cast<u8>(instruction.reg << 3 | 5);  // relative to rip
  put(&modrm, kModRm);
  const std::byte* const end = at + kDisplacement + instruction.after;
  const auto distance = static_cast<int>(stage.operand - end);
  put(&distance, kDisplacement);
  put(instruction.immediate.data(), instruction.after);
  constexpr u8 kJump[] = {0xff, 0x25, 0, 0, 0, 0};  // to the address that follows
  put(kJump, sizeof kJump);
  void (*const back)() = &vfiolab_mmio_return;
  put(&back, sizeof back);
}

}  // namespace

Result<> Prepare(const Template& instruction, std::size_t vector_size) {
  constexpr std::size_t kLongest = 15;
  Stage* const stage = TheStage();
  if (stage == nullptr) return Fail(ENOTSUP, "there is no memory that can be executed");
  if (vector_size > kLargestVector || (vector_size > 0 && VectorMask() == 0))
    return Fail(ENOTSUP, "these vector registers are not known");
  if (instruction.before + kModRm + kDisplacement + instruction.after > kLongest)
    return Fail(ENOTSUP, "too long with another operand");
  current_slot = SlotOf(instruction);
  if (in_slot[current_slot] == instruction) return {};
  in_slot[current_slot] = instruction;
  Put(instruction, *stage, current_slot);
  return {};
}

void Run(user_regs_struct& registers, std::span<std::byte> vector, std::span<std::byte> operand) {
  static const void* const fresh = FreshVector();
  alignas(64) static std::byte image[kLargestVector];
  constexpr u64 kArithmeticFlags = 0x8d5, kAlwaysSet = 0x2;
  Stage& stage = *TheStage();
  std::ranges::copy(operand, stage.operand);
  std::ranges::copy(vector, image);
  RunState& state = vfiolab_mmio_state;
  state = {registers, 0, stage.code[current_slot], vector.empty() ? 0 : VectorMask(), image, fresh};
  state.registers.eflags = (registers.eflags & kArithmeticFlags) | kAlwaysSet;
  vfiolab_mmio_run();
  state.registers.eflags =
      (registers.eflags & ~kArithmeticFlags) | (state.registers.eflags & kArithmeticFlags);
  registers = state.registers;
  std::ranges::copy(std::span{image}.first(vector.size()), vector.begin());
  std::ranges::copy(std::span{stage.operand}.first(operand.size()), operand.begin());
}

}  // namespace vfiolab::mmio
