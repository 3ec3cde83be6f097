// Memory that devices and clients share.
#pragma once
#include <algorithm>
#include <functional>

#include "device/bar.hpp"

namespace vfiolab {

class MemoryBar : public BarHandler {
 public:
  explicit MemoryBar(std::span<std::byte> bytes) : bytes_(bytes) {}
  void Read(Offset offset, std::span<std::byte> out) override;
  void Write(Offset offset, std::span<const std::byte> in) override;
  void Reset() override {}  // RAM behind a BAR survives a function reset
  std::span<std::byte> memory() override { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

// Memory where each word that a client stores calls `stored`: doorbells. For the client a store
// costs what a store to memory costs.
class PolledBar final : public MemoryBar {
 public:
  using Stored = std::function<void(Offset at, u32 word)>;
  PolledBar(std::span<std::byte> bytes, Stored stored)
      : MemoryBar(bytes), stored_(std::move(stored)) {}
  void Reset() override { std::ranges::fill(memory(), std::byte{0}); }
  void OnStore(Offset at, u32 word) override { stored_(at, word); }

 private:
  Stored stored_;
};

}  // namespace vfiolab
