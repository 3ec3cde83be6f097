// One instruction of a stopped thread, executed with its memory operands elsewhere: how a load or
// store that faulted on a device's registers is made. x86-64.
#pragma once
#include <sys/user.h>

#include <span>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"

namespace vfiolab::mmio {

// A thread at an instruction that has faulted.
class StoppedThread {
 public:
  virtual ~StoppedThread() = default;

  // Memory as the thread would reach it, devices' registers included: 1 to 64 bytes. The errors are
  // the caller's own; Execute() passes them on.
  virtual Result<> Load(u64 address, std::span<std::byte> to) = 0;
  virtual Result<> Store(u64 address, std::span<const std::byte> from) = 0;

  // To be changed in place.
  virtual user_regs_struct& registers() = 0;
  // The x87, SSE and AVX registers as an XSAVE image in its standard form (PTRACE_GETREGSET
  // NT_X86_XSTATE). Asked for only by instructions that need them.
  virtual Result<std::vector<std::byte>> VectorRegisters() = 0;
  virtual Result<> SetVectorRegisters(std::span<const std::byte> image) = 0;
};

// Executes the instruction that `code` begins with (the bytes at rip, at most 15), which faulted at
// the address `fault`. Afterwards rip is behind it, or at it where a repeated string instruction
// has more to do. ENOTSUP: this instruction is not known, and nothing has happened; the reason
// names its bytes. Any other error comes from the thread: the registers are as they were, but of a
// string instruction as they are after the elements that were moved.
//
// The instruction itself runs in this process, on the thread's registers and on a copy of the
// operand. For one thread at a time, which handles no signal meanwhile.
Result<> Execute(std::span<const std::byte> code, u64 fault, StoppedThread& thread);

}  // namespace vfiolab::mmio
