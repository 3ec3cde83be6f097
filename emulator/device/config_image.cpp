#include "device/config_image.hpp"

#include <linux/pci_regs.h>

namespace vfiolab {

u32 ConfigImage::Get(std::size_t at, unsigned width) const {
  if (at + width > bytes_.size()) return 0;
  return static_cast<u32>(LoadLittleEndian(std::span{bytes_}.subspan(at, width)));
}

u8 ConfigImage::FindCapability(u8 id) const {
  if (!(Get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST)) return 0;
  u8 at = static_cast<u8>(Get(PCI_CAPABILITY_LIST, 1) & 0xfc);
  // 48 is the most that fit: a list that loops ends here.
  for (int hops = 0; at >= PCI_STD_HEADER_SIZEOF && hops < 48; ++hops) {
    if (Get(at, 1) == id) return at;
    at = static_cast<u8>(Get(at + 1u, 1) & 0xfc);
  }
  return 0;
}

bool ConfigImage::is_type_0() const {
  return (Get(PCI_HEADER_TYPE, 1) & 0x7f) == PCI_HEADER_TYPE_NORMAL;
}

bool ConfigImage::IsUpperHalf(unsigned index) const {
  if (index == 0 || IsUpperHalf(index - 1)) return false;
  const auto before = BarAt(index - 1);
  return before && before->space == BarSpace::kMemory64;
}

std::optional<ConfigImage::Bar> ConfigImage::BarAt(unsigned index) const {
  const std::size_t at = PCI_BASE_ADDRESS_0 + 4 * index;
  const u32 low = Get(at, 4);
  if (low == 0 || IsUpperHalf(index)) return std::nullopt;
  if (low & PCI_BASE_ADDRESS_SPACE_IO) return Bar{low & ~u32{3}, BarSpace::kIo, false};
  const bool wide =
      index < 5 && (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
  const u64 high = wide ? u64{Get(at + 4, 4)} << 32 : 0;
  return Bar{high | (low & ~u32{0xf}), wide ? BarSpace::kMemory64 : BarSpace::kMemory32,
             (low & PCI_BASE_ADDRESS_MEM_PREFETCH) != 0};
}

std::optional<ConfigImage::Msix> ConfigImage::FindMsix() const {
  const u8 at = FindCapability(PCI_CAP_ID_MSIX);
  if (at == 0) return std::nullopt;
  const u32 table = Get(at + PCI_MSIX_TABLE, 4), pba = Get(at + PCI_MSIX_PBA, 4);
  return Msix{.vectors = (Get(at + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1,
              .table_bar = table & PCI_MSIX_TABLE_BIR,
              .table_offset = table & ~u32{PCI_MSIX_TABLE_BIR},
              .pba_bar = pba & PCI_MSIX_PBA_BIR,
              .pba_offset = pba & ~u32{PCI_MSIX_PBA_BIR}};
}

unsigned ConfigImage::MsiVectors() const {
  const u8 at = FindCapability(PCI_CAP_ID_MSI);
  if (at == 0) return 0;
  return 1u << ((Get(at + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QMASK) >> 1);
}

}  // namespace vfiolab
