#include "mmio/execute.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "mmio/decoder.hpp"
#include "mmio/runner.hpp"
#include "mmio/strings.hpp"

namespace vfiolab::mmio {
namespace {

bool IsAddressPrefix(std::byte byte) {
  constexpr u8 kSegmentsAndAddressSize[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x67};
  return std::ranges::find(kSegmentsAndAddressSize, std::to_integer<u8>(byte)) !=
         std::end(kSegmentsAndAddressSize);
}

// mov between the accumulator and an address that the instruction holds has no ModRM byte; its
// ordinary form does the same.
Result<std::byte> OrdinaryMove(std::byte opcode) {
  switch (std::to_integer<u8>(opcode)) {
    case 0xa0:
      return std::byte{0x8a};
    case 0xa1:
      return std::byte{0x8b};
    case 0xa2:
      return std::byte{0x88};
    case 0xa3:
      return std::byte{0x89};
    default:
      return Fail(ENOTSUP, "an instruction without a ModRM byte");
  }
}

Result<Template> MakeTemplate(std::span<const std::byte> code, const Decoded& decoded) {
  const ZydisDecodedInstruction& instruction = decoded.instruction;
  const auto& raw = instruction.raw;
  const bool has_modrm = (instruction.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
  Template made;
  const std::size_t before = has_modrm ? raw.modrm.offset : raw.prefix_count;
  for (std::size_t i = 0; i < before; ++i)
    if (i >= raw.prefix_count || !IsAddressPrefix(code[i])) made.Append(code[i]);
  if (!has_modrm) {
    made.Append(TRY(OrdinaryMove(code[before])));
    return made;
  }
  made.reg = raw.modrm.reg & 7u;
  const bool has_sib = (instruction.attributes & ZYDIS_ATTRIB_HAS_SIB) != 0;
  const std::size_t after = raw.modrm.offset + 1u + (has_sib ? 1u : 0u) + raw.disp.size / 8u;
  made.after = instruction.length - after;
  std::ranges::copy(code.subspan(after, made.after), made.immediate.begin());
  return made;
}

bool IsBitTest(ZydisMnemonic mnemonic) {
  return mnemonic == ZYDIS_MNEMONIC_BT || mnemonic == ZYDIS_MNEMONIC_BTS ||
         mnemonic == ZYDIS_MNEMONIC_BTR || mnemonic == ZYDIS_MNEMONIC_BTC;
}

// A bit test with its number in a register reaches beyond its operand, which is only the first of a
// row. The register that holds the number; null for all other instructions.
unsigned long long* BitNumber(const Decoded& decoded, user_regs_struct& registers) {
  const ZydisDecodedOperand& bit = decoded.operands[1];
  if (!IsBitTest(decoded.instruction.mnemonic) || bit.type != ZYDIS_OPERAND_TYPE_REGISTER)
    return nullptr;
  return GeneralRegister(registers, bit.reg.value);
}

// How many bytes beyond, for an operand of `width` bytes. The number is signed.
u64 BitDistance(unsigned long long number, std::size_t width) {
  const unsigned unused = 64 - 8 * static_cast<unsigned>(width);
  const auto value = static_cast<std::int64_t>(number << unused) >> unused;
  return static_cast<u64>(value >> std::countr_zero(8 * width)) * width;  // rounded down
}

bool Covers(u64 address, std::size_t width, u64 fault) {
  return fault >= address && fault - address < width;
}

Result<> RunPlain(std::span<const std::byte> code, const Decoded& decoded, u64 fault,
                  StoppedThread& thread) {
  user_regs_struct registers = thread.registers();
  unsigned long long* const bit = BitNumber(decoded, registers);
  const u64 address =
      AddressOf(decoded, registers) + (bit != nullptr ? BitDistance(*bit, decoded.width()) : 0);
  std::array<std::byte, 64> bytes{};
  const std::span operand = std::span{bytes}.first(decoded.width());
  if (!Covers(address, operand.size(), fault))
    return Fail(ENOTSUP, fmt::format("its operand is at {:#x}, not at {:#x}", address, fault));
  const Template made = TRY(MakeTemplate(code, decoded));
  std::vector<std::byte> vector;
  if (decoded.uses_vector) vector = TRY(thread.VectorRegisters());
  TRY(Prepare(made, vector.size()));
  const ZydisOperandActions actions = decoded.memory->actions;
  if (actions & ZYDIS_OPERAND_ACTION_MASK_READ) TRY(thread.Load(address, operand));
  const auto number = bit != nullptr ? *bit : 0;
  if (bit != nullptr) *bit %= 8 * operand.size();
  Run(registers, vector, operand);
  if (bit != nullptr) *bit = number;
  if (actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) TRY(thread.Store(address, operand));
  if (decoded.uses_vector) TRY(thread.SetVectorRegisters(vector));
  registers.rip += decoded.instruction.length;
  thread.registers() = registers;
  return {};
}

Result<> RunPush(const Decoded& decoded, StoppedThread& thread) {
  user_regs_struct registers = thread.registers();
  std::array<std::byte, 8> bytes{};
  const std::span value = std::span{bytes}.first(decoded.width());
  TRY(thread.Load(AddressOf(decoded, registers), value));
  TRY(thread.Store(registers.rsp - value.size(), value));
  registers.rsp -= value.size();
  registers.rip += decoded.instruction.length;
  thread.registers() = registers;
  return {};
}

Result<> RunPop(const Decoded& decoded, StoppedThread& thread) {
  user_regs_struct registers = thread.registers();
  std::array<std::byte, 8> bytes{};
  const std::span value = std::span{bytes}.first(decoded.width());
  TRY(thread.Load(registers.rsp, value));
  registers.rsp += value.size();  // before the address, which may depend on it
  TRY(thread.Store(AddressOf(decoded, registers), value));
  registers.rip += decoded.instruction.length;
  thread.registers() = registers;
  return {};
}

Result<> RunAny(std::span<const std::byte> code, const Decoded& decoded, u64 fault,
                StoppedThread& thread) {
  switch (decoded.kind) {
    case Kind::kPlain:
      return RunPlain(code, decoded, fault, thread);
    case Kind::kString:
      return RunString(decoded, thread);
    case Kind::kPush:
      return RunPush(decoded, thread);
    case Kind::kPop:
      return RunPop(decoded, thread);
    case Kind::kCacheHint:
      thread.registers().rip += decoded.instruction.length;
      return {};
  }
  return Fail(ENOTSUP, "no kind of instruction");
}

}  // namespace

Result<> Execute(std::span<const std::byte> code, u64 fault, StoppedThread& thread) {
  const u64 rip = thread.registers().rip;
  const auto decoded = Decode(code);
  const auto done = decoded ? RunAny(code, *decoded, fault, thread)
                            : Result<>(Fail(ENOTSUP, "no instruction that is known"));
  if (done || done.error().code != ENOTSUP) return done;
  return Fail(ENOTSUP,
              fmt::format("{} at {:#x}: {}", Describe(code, rip), rip, done.error().reason));
}

}  // namespace vfiolab::mmio
