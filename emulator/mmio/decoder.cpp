#include "mmio/decoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace vfiolab::mmio {
namespace {

const ZydisDecoder& Decoder() {
  static const ZydisDecoder decoder = [] {
    ZydisDecoder made;
    ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return made;
  }();
  return decoder;
}

// Vector instructions that only move bits, or compute with integers: they raise no exception.
bool IsQuietVectorInstruction(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_MOVNTDQA:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
    case ZYDIS_MNEMONIC_VLDDQU:
    case ZYDIS_MNEMONIC_PCMPEQB:
    case ZYDIS_MNEMONIC_PCMPEQW:
    case ZYDIS_MNEMONIC_PCMPEQD:
    case ZYDIS_MNEMONIC_PCMPEQQ:
    case ZYDIS_MNEMONIC_VPCMPEQB:
    case ZYDIS_MNEMONIC_VPCMPEQW:
    case ZYDIS_MNEMONIC_VPCMPEQD:
    case ZYDIS_MNEMONIC_VPCMPEQQ:
    case ZYDIS_MNEMONIC_PMINUB:
    case ZYDIS_MNEMONIC_VPMINUB:
    case ZYDIS_MNEMONIC_PADDB:
    case ZYDIS_MNEMONIC_PADDW:
    case ZYDIS_MNEMONIC_PADDD:
    case ZYDIS_MNEMONIC_PADDQ:
    case ZYDIS_MNEMONIC_VPADDB:
    case ZYDIS_MNEMONIC_VPADDW:
    case ZYDIS_MNEMONIC_VPADDD:
    case ZYDIS_MNEMONIC_VPADDQ:
    case ZYDIS_MNEMONIC_PSUBB:
    case ZYDIS_MNEMONIC_PSUBW:
    case ZYDIS_MNEMONIC_PSUBD:
    case ZYDIS_MNEMONIC_PSUBQ:
    case ZYDIS_MNEMONIC_VPSUBB:
    case ZYDIS_MNEMONIC_VPSUBW:
    case ZYDIS_MNEMONIC_VPSUBD:
    case ZYDIS_MNEMONIC_VPSUBQ:
    case ZYDIS_MNEMONIC_PSHUFD:
    case ZYDIS_MNEMONIC_VPSHUFD:
    case ZYDIS_MNEMONIC_PSHUFB:
    case ZYDIS_MNEMONIC_VPSHUFB:
    case ZYDIS_MNEMONIC_PUNPCKLQDQ:
    case ZYDIS_MNEMONIC_VPUNPCKLQDQ:
    case ZYDIS_MNEMONIC_PINSRB:
    case ZYDIS_MNEMONIC_PINSRW:
    case ZYDIS_MNEMONIC_PINSRD:
    case ZYDIS_MNEMONIC_PINSRQ:
    case ZYDIS_MNEMONIC_VPINSRB:
    case ZYDIS_MNEMONIC_VPINSRW:
    case ZYDIS_MNEMONIC_VPINSRD:
    case ZYDIS_MNEMONIC_VPINSRQ:
    case ZYDIS_MNEMONIC_PEXTRB:
    case ZYDIS_MNEMONIC_PEXTRW:
    case ZYDIS_MNEMONIC_PEXTRD:
    case ZYDIS_MNEMONIC_PEXTRQ:
    case ZYDIS_MNEMONIC_VPEXTRB:
    case ZYDIS_MNEMONIC_VPEXTRW:
    case ZYDIS_MNEMONIC_VPEXTRD:
    case ZYDIS_MNEMONIC_VPEXTRQ:
    case ZYDIS_MNEMONIC_VINSERTF128:
    case ZYDIS_MNEMONIC_VINSERTI128:
    case ZYDIS_MNEMONIC_VEXTRACTF128:
    case ZYDIS_MNEMONIC_VEXTRACTI128:
    case ZYDIS_MNEMONIC_CRC32:
    case ZYDIS_MNEMONIC_POPCNT:
      return true;
    default:
      return false;
  }
}

bool IsDivision(ZydisMnemonic mnemonic) {
  return mnemonic == ZYDIS_MNEMONIC_DIV || mnemonic == ZYDIS_MNEMONIC_IDIV;
}

bool IsQuiet(const ZydisDecodedInstruction& instruction) {
  switch (instruction.meta.category) {
    case ZYDIS_CATEGORY_BINARY:
      return !IsDivision(instruction.mnemonic);
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_LOGICAL:
    case ZYDIS_CATEGORY_LOGICAL_FP:
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_ROTATE:
    case ZYDIS_CATEGORY_BITBYTE:
    case ZYDIS_CATEGORY_BMI1:
    case ZYDIS_CATEGORY_BMI2:
    case ZYDIS_CATEGORY_ADOX_ADCX:
    case ZYDIS_CATEGORY_LZCNT:
    case ZYDIS_CATEGORY_CMOV:
    case ZYDIS_CATEGORY_SETCC:
    case ZYDIS_CATEGORY_SEMAPHORE:
    case ZYDIS_CATEGORY_BROADCAST:
    case ZYDIS_CATEGORY_KMASK:
      return true;
    default:
      return IsQuietVectorInstruction(instruction.mnemonic);
  }
}

bool IsCacheHint(const ZydisDecodedInstruction& instruction) {
  switch (instruction.mnemonic) {
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
    case ZYDIS_MNEMONIC_CLDEMOTE:
      return true;
    default:
      return false;
  }
}

bool IsVector(ZydisRegister reg) {
  switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_MMX:
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM:
    case ZYDIS_REGCLASS_MASK:
      return true;
    default:
      return false;
  }
}

bool IsGeneralOrFlags(ZydisRegister reg) {
  switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
    case ZYDIS_REGCLASS_FLAGS:
      return true;
    default:
      return false;
  }
}

// Whether an element of a vector may be left out, or one element stands for all.
bool IsMaskedOrBroadcast(const ZydisDecodedInstruction& instruction) {
  const auto& avx = instruction.avx;
  return (avx.mask.reg != ZYDIS_REGISTER_NONE && avx.mask.reg != ZYDIS_REGISTER_K0) ||
         (avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID && !avx.broadcast.is_static);
}

std::optional<Kind> KindOf(const Decoded& decoded) {
  const ZydisDecodedInstruction& instruction = decoded.instruction;
  if (instruction.meta.category == ZYDIS_CATEGORY_STRINGOP) return Kind::kString;
  if (IsCacheHint(instruction)) return Kind::kCacheHint;
  if (instruction.mnemonic == ZYDIS_MNEMONIC_PUSH) return Kind::kPush;
  if (instruction.mnemonic == ZYDIS_MNEMONIC_POP) return Kind::kPop;
  const auto memories = std::ranges::count_if(decoded.all_operands(), [](const auto& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY;
  });
  // A segment register that is loaded would be this process's.
  const bool others = std::ranges::any_of(decoded.all_operands(), [](const auto& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && !IsVector(operand.reg.value) &&
           !IsGeneralOrFlags(operand.reg.value) &&
           (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
  });
  if (memories != 1 || others || !IsQuiet(instruction) || IsMaskedOrBroadcast(instruction))
    return std::nullopt;
  return Kind::kPlain;
}

}  // namespace

namespace {

std::unique_ptr<Decoded> DecodeAnew(std::span<const std::byte> code) {
  auto decoded = std::make_unique<Decoded>();
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&Decoder(), code.data(), code.size(),
                                           &decoded->instruction, decoded->operands)))
    return nullptr;
  for (const ZydisDecodedOperand& operand : decoded->all_operands()) {
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && IsVector(operand.reg.value))
      decoded->uses_vector = true;
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && decoded->memory == nullptr &&
        (operand.visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT ||
         decoded->instruction.meta.category == ZYDIS_CATEGORY_STRINGOP))
      decoded->memory = &operand;
  }
  const auto kind = KindOf(*decoded);
  if (!kind || decoded->memory == nullptr) return nullptr;
  if (*kind != Kind::kCacheHint && (decoded->memory->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
                                    decoded->width() == 0 || decoded->width() > 64))
    return nullptr;
  decoded->kind = *kind;
  return decoded;
}

// What an instruction has been found to be, which may be nothing that is known.
struct Remembered {
  std::array<std::byte, 15> code{};
  std::size_t size = 0;
  std::unique_ptr<Decoded> decoded;
};

}  // namespace

const Decoded* Decode(std::span<const std::byte> code) {
  constexpr std::size_t kPlaces = 32;
  static std::array<Remembered, kPlaces> places;
  if (code.empty()) return nullptr;
  const u64 mixed = (LoadLittleEndian(code) ^ code.size()) * 0x9e3779b97f4a7c15;
  Remembered& place = places[mixed >> 59];
  if (place.size != code.size() || std::memcmp(place.code.data(), code.data(), code.size()) != 0) {
    place.size = std::min(code.size(), place.code.size());
    std::ranges::copy(code.first(place.size), place.code.begin());
    place.decoded = DecodeAnew(code);
  }
  return place.decoded.get();
}

unsigned long long* GeneralRegister(user_regs_struct& registers, ZydisRegister reg) {
  static constexpr unsigned long long user_regs_struct::*kByNumber[] = {
      &user_regs_struct::rax, &user_regs_struct::rcx, &user_regs_struct::rdx,
      &user_regs_struct::rbx, &user_regs_struct::rsp, &user_regs_struct::rbp,
      &user_regs_struct::rsi, &user_regs_struct::rdi, &user_regs_struct::r8,
      &user_regs_struct::r9,  &user_regs_struct::r10, &user_regs_struct::r11,
      &user_regs_struct::r12, &user_regs_struct::r13, &user_regs_struct::r14,
      &user_regs_struct::r15};
  const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
  if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64) return nullptr;
  return &(registers.*kByNumber[ZydisRegisterGetId(whole)]);
}

u64 AddressOf(const Decoded& decoded, user_regs_struct& registers) {
  const auto& memory = decoded.memory->mem;
  const auto value = [&](ZydisRegister reg) -> u64 {
    if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
      return registers.rip + decoded.instruction.length;
    const unsigned long long* found = GeneralRegister(registers, reg);
    return found == nullptr ? 0 : *found;
  };
  u64 address =
      static_cast<u64>(memory.disp.value) + value(memory.base) + value(memory.index) * memory.scale;
  if (decoded.instruction.address_width == 32) address &= 0xffffffff;
  if (memory.segment == ZYDIS_REGISTER_FS) address += registers.fs_base;
  if (memory.segment == ZYDIS_REGISTER_GS) address += registers.gs_base;
  return address;
}

std::string Describe(std::span<const std::byte> code, u64 rip) {
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  const bool known = ZYAN_SUCCESS(
      ZydisDecoderDecodeFull(&Decoder(), code.data(), code.size(), &instruction, operands));
  std::string text;
  for (const std::byte byte : code.first(known ? instruction.length : code.size()))
    text += fmt::format("{}{:02x}", text.empty() ? "" : " ", std::to_integer<unsigned>(byte));
  if (!known) return text;
  ZydisFormatter formatter;
  char buffer[256];
  if (ZYAN_SUCCESS(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL)) &&
      ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &instruction, operands,
                                                   instruction.operand_count_visible, buffer,
                                                   sizeof buffer, rip, nullptr)))
    text += fmt::format(" ({})", buffer);
  return text;
}

}  // namespace vfiolab::mmio
