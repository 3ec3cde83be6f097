#include "tracer/traced_call.hpp"

#include <sys/ptrace.h>
#include <sys/user.h>

#include <cstddef>

namespace vfiolab::tracer {
namespace {

// What the kernel keeps in rax until it knows the signal's handler (linux/errno.h).
constexpr long kRestartIfWanted = -512;  // ERESTARTSYS
constexpr long kRestartAlways = -513;    // ERESTARTNOINTR
constexpr u64 kCode64 = 0x33;            // the code segment of 64-bit programs

}  // namespace

void BeginAnew(pid_t tid, bool (*is_ours)(const SystemCall&)) {
  user_regs_struct registers{};
  if (::ptrace(PTRACE_GETREGS, tid, nullptr, &registers) != 0) return;
  const auto number = static_cast<long>(registers.orig_rax);  // negative: it was in no call
  if (registers.cs != kCode64 || number < 0 ||
      static_cast<long>(registers.rax) != kRestartIfWanted ||
      !is_ours({number, {registers.rdi, registers.rsi, registers.rdx, registers.r10}}))
    return;
  ::ptrace(PTRACE_POKEUSER, tid, offsetof(user_regs_struct, rax), kRestartAlways);
}

}  // namespace vfiolab::tracer
