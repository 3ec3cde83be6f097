#include "tracer/traced_call.hpp"

#include <sys/ptrace.h>
#include <sys/user.h>

#include <cerrno>
#include <cstddef>

namespace vfiolab::tracer {
namespace {

// What the kernel keeps in rax until it knows the signal's handler (linux/errno.h).
constexpr long kRestartIfWanted = -512;  // ERESTARTSYS
constexpr long kRestartAlways = -513;    // ERESTARTNOINTR

}  // namespace

void BeginAnew(pid_t tid, bool (*is_ours)(const SystemCall&)) {
  errno = 0;
  const long number = ::ptrace(PTRACE_PEEKUSER, tid, offsetof(user_regs_struct, orig_rax), nullptr);
  if (errno != 0 || number < 0) return;  // it was in no system call
  user_regs_struct registers{};
  if (::ptrace(PTRACE_GETREGS, tid, nullptr, &registers) != 0) return;
  if (static_cast<long>(registers.rax) != kRestartIfWanted ||
      !is_ours({number, {registers.rdi, registers.rsi, registers.rdx}}))
    return;
  ::ptrace(PTRACE_POKEUSER, tid, offsetof(user_regs_struct, rax), kRestartAlways);
}

}  // namespace vfiolab::tracer
