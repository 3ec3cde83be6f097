#include "support/random_instruction.hpp"

#include <algorithm>
#include <sstream>

namespace vfiolab::test {
namespace {

unsigned long long user_regs_struct::*const kRegisters[] = {
    &user_regs_struct::rax, &user_regs_struct::rcx, &user_regs_struct::rdx, &user_regs_struct::rbx,
    &user_regs_struct::rsp, &user_regs_struct::rbp, &user_regs_struct::rsi, &user_regs_struct::rdi,
    &user_regs_struct::r8,  &user_regs_struct::r9,  &user_regs_struct::r10, &user_regs_struct::r11,
    &user_regs_struct::r12, &user_regs_struct::r13, &user_regs_struct::r14, &user_regs_struct::r15};

class Maker {
 public:
  Maker(const SingleStep& step, Random& random, ThreadState& state)
      : step_(step), random_(random), state_(state) {}

  std::vector<std::byte> Make(const std::string& form, u64& operand) {
    std::istringstream words(form);
    for (std::string word; words >> word;) Take(word);
    operand_ = step_.data() + 1024 + (aligned_ ? 64 * Below(16) : Below(1024));
    if (string_) PlaceStrings();
    if (uses_stack_) state_.general.rsp = step_.data() + 3072 + Below(512);
    if (equal_) {
      const std::size_t at = operand_ - step_.data();
      std::memcpy(&state_.general.rax, &state_.data[at], 8);
      std::memcpy(&state_.general.rdx, &state_.data[at + 8], 8);
    }
    ChooseAddress();
    if (bit_) ChooseBit();
    operand = operand_;
    return Assemble();
  }

 private:
  u64 Below(u64 limit) { return random_() % limit; }
  bool Perhaps() { return Below(2) == 0; }
  void Put(u64 byte) { out_.push_back(static_cast<std::byte>(byte)); }
  void Put32(u64 value) {
    for (int i = 0; i < 4; ++i) Put(value >> 8 * i);
  }
  unsigned long long& Register(unsigned number) { return state_.general.*kRegisters[number]; }

  void Take(const std::string& word) {
    if (word == "lock") {
      if (Perhaps()) prefixes_.push_back(0xf0);
    } else if (word == "o") {
      if (Perhaps()) prefixes_.push_back(0x66);
    } else if (word == "rep") {
      if (const u64 which = Below(3); which > 0) prefixes_.push_back(which == 1 ? 0xf2 : 0xf3);
    } else if (word == "w" || word == "W") {
      rex_w_ = word == "W" || Perhaps();
    } else if (word.starts_with("vex.")) {
      TakeVex(word);
    } else if (word[0] == '/') {
      has_modrm_ = true;
      reg_ = word == "/r" ? static_cast<unsigned>(Below(16)) : static_cast<unsigned>(word[1] - '0');
    } else if (word == "ib" || word == "iz") {
      immediate_ = word == "ib" ? 1 : 4;
    } else if (word == "bit") {
      bit_ = true;
    } else if (word == "stack") {
      uses_stack_ = true;
    } else if (word == "string") {
      string_ = true;
    } else if (word == "equal") {
      equal_ = Perhaps();
    } else if (word == "aligned") {
      aligned_ = true;
    } else {
      const unsigned byte = static_cast<unsigned>(std::stoul(word, nullptr, 16));
      if (!vex_ && opcode_.empty() && (byte == 0x66 || byte == 0xf2 || byte == 0xf3))
        prefixes_.push_back(byte);
      else
        opcode_.push_back(byte);
    }
  }

  void TakeVex(const std::string& word) {
    vex_ = true;
    pp_ = static_cast<unsigned>(word[4] - '0');
    map_ = static_cast<unsigned>(word[6] - '0');
    rex_w_ = word[8] == 'x' ? Perhaps() : word[8] == '1';
    wide_ = word[10] == 'x' ? Perhaps() : word[10] == '1';
    vvvv_ = word.ends_with(".v") ? static_cast<unsigned>(Below(16)) : 0;
  }

  void PlaceStrings() {
    state_.general.rsi = step_.data() + 1024 + Below(256);
    state_.general.rdi = step_.data() + 2048 + Below(256);
    state_.general.rcx = Below(20);
    if (Perhaps()) state_.general.eflags |= 1u << 10;
    // Alike for a while, so that comparisons go on.
    if (Perhaps())
      std::fill(state_.data.begin() + 900, state_.data.begin() + 2500, state_.data[900]);
    if (Perhaps()) std::memset(&state_.general.rax, std::to_integer<int>(state_.data[900]), 8);
  }

  void ChooseAddress() {
    if (!has_modrm_) return;
    const bool narrow = Below(8) == 0;
    segment_ = !narrow && Below(8) == 0;
    if (narrow) prefixes_.insert(prefixes_.begin(), 0x67);
    if (segment_) prefixes_.insert(prefixes_.begin(), 0x64);
    if (segment_) state_.general.fs_base = Below(u64{1} << 30);
    at_ = operand_ - (segment_ ? state_.general.fs_base : 0);
    relative_ = Below(6) == 0;
    do base_ = static_cast<unsigned>(Below(16));
    while ((uses_stack_ && base_ == 4) || (bit_ && base_ == reg_));
    with_index_ = base_ % 8 == 4 || Perhaps();
    do index_ = static_cast<unsigned>(Below(16));
    while (index_ == base_ || (bit_ && index_ == reg_) || (uses_stack_ && index_ == 4));
    scale_ = static_cast<unsigned>(Below(4));
    displacement_size_ = static_cast<unsigned>(Below(3));
    if (displacement_size_ == 0 && base_ % 8 == 5) displacement_size_ = 1;
    displacement_ = displacement_size_ == 0 ? 0
                    : displacement_size_ == 1
                        ? static_cast<u64>(static_cast<signed char>(random_()))
                        : static_cast<u64>(static_cast<int>(random_()));
    if (relative_) return;
    const u64 index = with_index_ && index_ != 4 ? Register(index_) << scale_ : 0;
    Register(base_) = at_ - displacement_ - index;
    if (narrow) Register(base_) += random_() << 32;
  }

  void ChooseBit() {
    const long number = static_cast<long>(Below(4000)) - 2000;
    const bool short_operand = !prefixes_.empty() && prefixes_.back() == 0x66;
    const unsigned used = rex_w_ ? 64 : short_operand ? 16 : 32;
    const u64 mask = used == 64 ? ~u64{0} : (u64{1} << used) - 1;
    Register(reg_) = (static_cast<u64>(number) & mask) | (random_() & ~mask);
    const long row = (number >= 0 ? number : number - used + 1) / static_cast<long>(used);
    operand_ += static_cast<u64>(row * static_cast<long>(used / 8));
  }

  std::vector<std::byte> Assemble() {
    for (const unsigned prefix : prefixes_) Put(prefix);
    const bool has_index = has_modrm_ && !relative_ && with_index_;
    const unsigned r = has_modrm_ ? reg_ >> 3 : 0;
    const unsigned x = has_index ? index_ >> 3 : static_cast<unsigned>(Below(2));
    const unsigned b = has_modrm_ && !relative_ ? base_ >> 3 : static_cast<unsigned>(Below(2));
    if (vex_) {
      Put(0xc4);
      Put((r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | map_);
      Put((rex_w_ ? 0x80u : 0u) | (vvvv_ ^ 15) << 3 | (wide_ ? 4u : 0u) | pp_);
    } else if (rex_w_ || r || (has_modrm_ && (x || b)) || Below(4) == 0) {
      Put(0x40u | (rex_w_ ? 8u : 0u) | r << 2 | x << 1 | b);
    }
    for (const unsigned byte : opcode_) Put(byte);
    if (has_modrm_) PutAddress();
    const bool short_operand =
        !vex_ && !rex_w_ && std::find(prefixes_.begin(), prefixes_.end(), 0x66u) != prefixes_.end();
    for (unsigned i = 0; i < (immediate_ == 4 && short_operand ? 2 : immediate_); ++i)
      Put(random_() & 0xff);
    if (relative_) FillRelative();
    return out_;
  }

  void PutAddress() {
    const unsigned reg = reg_ % 8 << 3;
    if (relative_) {
      Put(reg | 5);
      relative_at_ = out_.size();
      Put32(0);
      return;
    }
    Put(displacement_size_ << 6 | reg | (with_index_ ? 4 : base_ % 8));
    if (with_index_) Put(scale_ << 6 | index_ % 8 << 3 | base_ % 8);
    if (displacement_size_ == 1) Put(displacement_ & 0xff);
    if (displacement_size_ == 2) Put32(displacement_);
  }

  void FillRelative() {
    const auto distance = static_cast<unsigned>(at_ - (state_.general.rip + out_.size()));
    std::memcpy(&out_[relative_at_], &distance, sizeof distance);
  }

  const SingleStep& step_;
  Random& random_;
  ThreadState& state_;
  std::vector<std::byte> out_;
  std::vector<unsigned> prefixes_, opcode_;
  bool rex_w_ = false, vex_ = false, wide_ = false, has_modrm_ = false, bit_ = false;
  bool uses_stack_ = false, string_ = false, aligned_ = false, equal_ = false;
  bool relative_ = false, with_index_ = false, segment_ = false;
  unsigned pp_ = 0, map_ = 0, vvvv_ = 0, reg_ = 0, base_ = 0, index_ = 0, scale_ = 0;
  unsigned displacement_size_ = 0, immediate_ = 0;
  u64 displacement_ = 0, operand_ = 0, at_ = 0;
  std::size_t relative_at_ = 0;
};

}  // namespace

std::vector<std::byte> MakeInstruction(const std::string& form, const SingleStep& step,
                                       Random& random, ThreadState& state, u64& operand) {
  return Maker(step, random, state).Make(form, operand);
}

}  // namespace vfiolab::test
