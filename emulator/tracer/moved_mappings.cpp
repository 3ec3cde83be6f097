#include "tracer/moved_mappings.hpp"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include <cerrno>
#include <cstddef>

#include "process/moved_mapping.hpp"
#include "tracer/traced_call.hpp"

namespace vfiolab::tracer {
namespace {

void SetOffset(pid_t tid, u64 offset) {
  ::ptrace(PTRACE_POKEUSER, tid, offsetof(user_regs_struct, r9), offset);
}

}  // namespace

bool MovedMappings::Begin(pid_t tid) {
  siginfo_t signal{};
  if (::ptrace(PTRACE_GETSIGINFO, tid, nullptr, &signal) != 0) return false;
  const auto offset = MovedMappingOf(signal);
  const auto call = offset ? EndedCall(tid) : std::nullopt;
  if (!call || call->number != SYS_mmap) return false;
  errno = 0;
  const long asked_for = ::ptrace(PTRACE_PEEKUSER, tid, offsetof(user_regs_struct, r9), nullptr);
  if (errno != 0) return false;
  asked_for_.emplace(tid, static_cast<u64>(asked_for));
  SetOffset(tid, *offset);
  return true;
}

void MovedMappings::OnCall(pid_t tid) {
  if (!Has(tid) || !HasReturned(tid)) return;
  SetOffset(tid, asked_for_.extract(tid).mapped());
}

}  // namespace vfiolab::tracer
