// What Zydis knows of an instruction, and what follows from it here.
#pragma once
#include <Zydis/Zydis.h>
#include <sys/user.h>

#include <memory>
#include <span>
#include <string>

#include "base/address.hpp"

namespace vfiolab::mmio {

enum class Kind {
  kPlain,   // one memory operand, and no other effect than on registers and flags
  kString,  // movs, stos, lods, cmps, scas
  kPush,
  kPop,
  kCacheHint,  // of no interest to a device
};

struct Decoded {
  Kind kind = Kind::kPlain;
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  const ZydisDecodedOperand* memory = nullptr;  // the explicit one; of kString the first
  bool uses_vector = false;

  std::span<const ZydisDecodedOperand> all_operands() const {
    return {operands, instruction.operand_count};
  }
  std::size_t width() const { return memory->size / 8u; }
};

// Null when it is no instruction, or none that Execute() knows. Valid until the next call, which
// remembers some: drivers have few places where they touch registers. For one thread at a time.
const Decoded* Decode(std::span<const std::byte> code);

// The general register that `reg` is, or is a part of; null for any other.
unsigned long long* GeneralRegister(user_regs_struct& registers, ZydisRegister reg);

// Where the memory operand is. `registers.rip` is that of the instruction.
u64 AddressOf(const Decoded& decoded, user_regs_struct& registers);

// "8b 07" and, where it can be read, "mov eax, dword ptr ds:[rdi]".
std::string Describe(std::span<const std::byte> code, u64 rip);

}  // namespace vfiolab::mmio
