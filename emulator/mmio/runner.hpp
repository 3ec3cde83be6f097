// Runs one instruction in this process, on registers that are not this process's.
#pragma once
#include <sys/user.h>

#include <array>
#include <cstddef>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace vfiolab::mmio {

// An instruction without its memory operand: what stands before the ModRM byte, ModRM.reg, and what
// stands behind the operand (immediates). The operand becomes a buffer of the runner's.
struct Template {
  std::array<std::byte, 16> bytes{};
  std::size_t before = 0;  // how many of `bytes`
  unsigned reg = 0;
  std::array<std::byte, 8> immediate{};
  std::size_t after = 0;  // how many of `immediate`

  void Append(std::byte byte) { bytes[before++] = byte; }
  bool operator==(const Template&) const = default;
};

// Puts the instruction where it can run. ENOTSUP: it becomes longer than an instruction may be; it
// needs vector registers (an image of `vector_size` bytes, else 0) that are not known here; or
// there is no memory that can be executed.
Result<> Prepare(const Template& instruction, std::size_t vector_size);

// Runs what was prepared last on `registers` (the general ones and the arithmetic flags; rip
// stays), on the XSAVE image `vector`, and on `operand`, at most 64 bytes. It must have no effect
// but on these, and raise nothing.
void Run(user_regs_struct& registers, std::span<std::byte> vector, std::span<std::byte> operand);

}  // namespace vfiolab::mmio
