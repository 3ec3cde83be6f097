// A stopped thread whose memory is a vector.
#pragma once
#include <algorithm>

#include "mmio/execute.hpp"
#include "support/random_instruction.hpp"

namespace vfiolab::test {

class FakeThread final : public mmio::StoppedThread {
 public:
  FakeThread(ThreadState& state, u64 data) : state_(state), data_(data) {}

  Result<> Load(u64 address, std::span<std::byte> to) override {
    ++loads;
    std::ranges::copy(std::span{TRY(Find(address, to.size())), to.size()}, to.begin());
    return {};
  }
  Result<> Store(u64 address, std::span<const std::byte> from) override {
    ++stores;
    std::ranges::copy(from, TRY(Find(address, from.size())));
    return {};
  }
  user_regs_struct& registers() override { return state_.general; }
  Result<std::vector<std::byte>> VectorRegisters() override { return state_.vector; }
  Result<> SetVectorRegisters(std::span<const std::byte> image) override {
    state_.vector.assign(image.begin(), image.end());
    return {};
  }

  int loads = 0, stores = 0;
  u64 broken_from = ~u64{0};  // there is nothing there

 private:
  Result<std::byte*> Find(u64 address, std::size_t size) {
    if (address < data_ || size > state_.data.size() || address - data_ > state_.data.size() - size)
      return Fail(EFAULT, "outside");
    if (address + size > broken_from) return Fail(EIO, "broken");
    return state_.data.data() + (address - data_);
  }

  ThreadState& state_;
  u64 data_;
};

inline bool SameGeneral(user_regs_struct a, user_regs_struct b) {
  constexpr u64 kCompared = 0xcd5;
  a.eflags &= kCompared;
  b.eflags &= kCompared;
  a.orig_rax = b.orig_rax = 0;
  return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace vfiolab::test
