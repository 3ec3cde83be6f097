#include "tracer/traced_call.hpp"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "process/caller.hpp"
#include "process/moved_mapping.hpp"

namespace vfiolab::tracer {
namespace {

constexpr u64 kCode64 = 0x33;  // the code segment of 64-bit programs

// What a call that a signal has ended returns, before the kernel has asked whether the signal's
// handler wants it made again: ERESTARTSYS (linux/errno.h).
constexpr long kEndedBySignal = 512;

bool IsMadeAgain(long result) { return result == -kEndedBySignal || result == -kMadeAgain; }

}  // namespace

std::optional<SystemCall> EndedCall(pid_t tid) {
  user_regs_struct registers{};
  if (::ptrace(PTRACE_GETREGS, tid, nullptr, &registers) != 0) return std::nullopt;
  const auto number = static_cast<long>(registers.orig_rax);  // negative: it was in no call
  if (registers.cs != kCode64 || number < 0 || !IsMadeAgain(static_cast<long>(registers.rax)))
    return std::nullopt;
  return SystemCall{number, {registers.rdi, registers.rsi, registers.rdx, registers.r10}};
}

bool HasReturned(pid_t tid) {
  __ptrace_syscall_info call{};
  return ::ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof call, &call) >= 0 &&
         call.op == PTRACE_SYSCALL_INFO_EXIT && !IsMadeAgain(call.exit.rval);
}

bool CanBlock(pid_t tid, int descriptor) {
  const auto found = StatDescriptor(tid, descriptor);
  if (!found || S_ISREG(found->stx_mode) || S_ISBLK(found->stx_mode)) return false;
  const auto info = InfoOfDescriptor(tid, descriptor);
  return !info || (info->flags & O_NONBLOCK) == 0;
}

}  // namespace vfiolab::tracer
