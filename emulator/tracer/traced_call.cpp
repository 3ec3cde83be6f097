#include "tracer/traced_call.hpp"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "process/caller.hpp"

namespace vfiolab::tracer {
namespace {

constexpr u64 kCode64 = 0x33;  // the code segment of 64-bit programs

}  // namespace

std::optional<SystemCall> EndedCall(pid_t tid) {
  user_regs_struct registers{};
  if (::ptrace(PTRACE_GETREGS, tid, nullptr, &registers) != 0) return std::nullopt;
  const auto number = static_cast<long>(registers.orig_rax);  // negative: it was in no call
  if (registers.cs != kCode64 || number < 0 || static_cast<long>(registers.rax) != kEndedBySignal)
    return std::nullopt;
  return SystemCall{number, {registers.rdi, registers.rsi, registers.rdx, registers.r10}};
}

bool CanBlock(pid_t tid, int descriptor) {
  const auto found = StatDescriptor(tid, descriptor);
  if (!found || S_ISREG(found->stx_mode) || S_ISBLK(found->stx_mode)) return false;
  const auto info = InfoOfDescriptor(tid, descriptor);
  return !info || (info->flags & O_NONBLOCK) == 0;
}

}  // namespace vfiolab::tracer
