// The MSI-X table and its pending bits, as they lie in a BAR of their own.
#pragma once
#include <vector>

#include "device/bar.hpp"

namespace vfiolab {

// Table first, pending bits from the next page boundary on. Who programs the table is the host
// kernel; clients see the BAR through VFIO, which hides the table part.
class MsixTable final : public BarHandler {
 public:
  explicit MsixTable(unsigned vectors);

  static u32 PbaOffset(unsigned vectors);  // from the start of the BAR
  static u64 BarSize(unsigned vectors);

  void Read(Offset offset, std::span<std::byte> out) override;
  void Write(Offset offset, std::span<const std::byte> in) override;
  void Reset() override;

 private:
  std::vector<std::byte> bytes_;
  u32 pba_offset_;
};

}  // namespace vfiolab
