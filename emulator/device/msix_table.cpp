#include "device/msix_table.hpp"

#include <linux/pci_regs.h>

#include <algorithm>

namespace vfiolab {

u32 MsixTable::PbaOffset(unsigned vectors) {
  return static_cast<u32>((vectors * PCI_MSIX_ENTRY_SIZE + kPageSize - 1) & ~(kPageSize - 1));
}

u64 MsixTable::BarSize(unsigned vectors) {
  return std::bit_ceil(PbaOffset(vectors) + u64{(vectors + 63) / 64 * 8});
}

MsixTable::MsixTable(unsigned vectors) : bytes_(BarSize(vectors)), pba_offset_(PbaOffset(vectors)) {
  Reset();
}

void MsixTable::Read(Offset offset, std::span<std::byte> out) {
  std::memcpy(out.data(), bytes_.data() + offset, out.size());
}

void MsixTable::Write(Offset offset, std::span<const std::byte> in) {
  if (offset + in.size() > pba_offset_) return;  // pending bits are read-only
  std::memcpy(bytes_.data() + offset, in.data(), in.size());
}

void MsixTable::Reset() {
  std::ranges::fill(bytes_, std::byte{0});
  for (Offset at = PCI_MSIX_ENTRY_VECTOR_CTRL; at < pba_offset_; at += PCI_MSIX_ENTRY_SIZE)
    bytes_[at] = std::byte{PCI_MSIX_ENTRY_CTRL_MASKBIT};
}

}  // namespace vfiolab
