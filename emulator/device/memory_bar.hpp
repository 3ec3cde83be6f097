// Memory that devices and clients share.
#pragma once
#include "device/bar.hpp"

namespace vfiolab {

class MemoryBar final : public BarHandler {
 public:
  explicit MemoryBar(std::span<std::byte> bytes) : bytes_(bytes) {}
  void Read(Offset offset, std::span<std::byte> out) override;
  void Write(Offset offset, std::span<const std::byte> in) override;
  void Reset() override {}  // RAM behind a BAR survives a function reset
  std::span<std::byte> memory() override { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

}  // namespace vfiolab
