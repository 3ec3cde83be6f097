#include "mmio/strings.hpp"

#include <array>
#include <cstring>

#include "mmio/runner.hpp"

namespace vfiolab::mmio {
namespace {

enum class Operation { kMove, kStore, kLoad, kCompare, kScan };

Operation OperationOf(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_MOVSQ:
      return Operation::kMove;
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
      return Operation::kStore;
    case ZYDIS_MNEMONIC_LODSB:
    case ZYDIS_MNEMONIC_LODSW:
    case ZYDIS_MNEMONIC_LODSD:
    case ZYDIS_MNEMONIC_LODSQ:
      return Operation::kLoad;
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
      return Operation::kCompare;
    default:
      return Operation::kScan;
  }
}

using Element = std::array<std::byte, 8>;

class StringRun {
 public:
  StringRun(const Decoded& decoded, StoppedThread& thread)
      : thread_(thread),
        registers_(thread.registers()),
        operation_(OperationOf(decoded.instruction.mnemonic)),
        width_(decoded.width()),
        narrow_(decoded.instruction.address_width == 32),
        length_(decoded.instruction.length) {
    constexpr u64 kRepeatPrefixes = ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                    ZYDIS_ATTRIB_HAS_REPZ | ZYDIS_ATTRIB_HAS_REPNE |
                                    ZYDIS_ATTRIB_HAS_REPNZ;
    const u64 attributes = decoded.instruction.attributes;
    repeats_ = (attributes & kRepeatPrefixes) != 0;
    while_equal_ = (attributes & (ZYDIS_ATTRIB_HAS_REPNE | ZYDIS_ATTRIB_HAS_REPNZ)) == 0;
    for (const ZydisDecodedOperand& operand : decoded.all_operands()) {
      if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
      if (operand.mem.segment == ZYDIS_REGISTER_FS) source_segment_ = registers_.fs_base;
      if (operand.mem.segment == ZYDIS_REGISTER_GS) source_segment_ = registers_.gs_base;
    }
  }

  Result<> Run() {
    constexpr int kMost = 64;
    if (compares()) TRY(PrepareCompare());
    for (int i = 0; i < kMost; ++i) {
      if (repeats_ && Narrow(registers_.rcx) == 0) return Finish();
      TRY(MoveOne());
      if (!repeats_) return Finish();
      Set(registers_.rcx, registers_.rcx - 1);
      if (Narrow(registers_.rcx) == 0 || !GoesOn()) return Finish();
    }
    return {};
  }

 private:
  static constexpr u64 kDirection = 1u << 10, kZero = 1u << 6;

  u64 Narrow(u64 value) const { return narrow_ ? value & 0xffffffff : value; }
  void Set(unsigned long long& reg, u64 value) const { reg = Narrow(value); }
  u64 source() const { return Narrow(registers_.rsi) + source_segment_; }
  u64 destination() const { return Narrow(registers_.rdi); }
  bool compares() const {
    return operation_ == Operation::kCompare || operation_ == Operation::kScan;
  }
  bool GoesOn() const { return !compares() || ((registers_.eflags & kZero) != 0) == while_equal_; }

  Result<> Finish() {
    registers_.rip += length_;
    return {};
  }

  Result<> MoveOne() {
    Element bytes{};
    const std::span element = std::span{bytes}.first(width_);
    const bool reads_source = operation_ != Operation::kStore && operation_ != Operation::kScan;
    if (reads_source) TRY(thread_.Load(source(), element));
    switch (operation_) {
      case Operation::kMove:
        TRY(thread_.Store(destination(), element));
        break;
      case Operation::kStore:
        std::memcpy(bytes.data(), &registers_.rax, width_);
        TRY(thread_.Store(destination(), element));
        break;
      case Operation::kLoad:
        if (width_ == 4) registers_.rax = 0;  // as any 32-bit result
        std::memcpy(&registers_.rax, bytes.data(), width_);
        break;
      case Operation::kCompare:
        TRY(Compare(bytes));
        break;
      case Operation::kScan:
        std::memcpy(bytes.data(), &registers_.rax, width_);
        TRY(Compare(bytes));
        break;
    }
    const u64 step = registers_.eflags & kDirection ? -u64{width_} : u64{width_};
    if (reads_source) Set(registers_.rsi, registers_.rsi + step);
    if (operation_ != Operation::kLoad) Set(registers_.rdi, registers_.rdi + step);
    return {};
  }

  // cmp of the accumulator with memory.
  Result<> PrepareCompare() const {
    Template compare;
    if (width_ == 2) compare.Append(std::byte{0x66});
    if (width_ == 8) compare.Append(std::byte{0x48});
    compare.Append(std::byte{static_cast<u8>(width_ == 1 ? 0x3a : 0x3b)});
    return Prepare(compare, 0);
  }

  // The flags of `left` minus what is at the destination.
  Result<> Compare(const Element& left) {
    Element bytes{};
    const std::span right = std::span{bytes}.first(width_);
    TRY(thread_.Load(destination(), right));
    user_regs_struct scratch = registers_;
    std::memcpy(&scratch.rax, left.data(), width_);
    vfiolab::mmio::Run(scratch, {}, right);
    registers_.eflags = scratch.eflags;
    return {};
  }

  StoppedThread& thread_;
  user_regs_struct& registers_;
  Operation operation_;
  std::size_t width_;
  bool narrow_;
  u64 length_;
  bool repeats_ = false;
  bool while_equal_ = true;
  u64 source_segment_ = 0;
};

}  // namespace

Result<> RunString(const Decoded& decoded, StoppedThread& thread) {
  return StringRun(decoded, thread).Run();
}

}  // namespace vfiolab::mmio
