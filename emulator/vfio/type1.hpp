// The legacy IOMMU backend: what MAP_DMA and its kin mean (vfio_iommu_type1.c).
#pragma once
#include <linux/vfio.h>

#include <map>
#include <memory>
#include <vector>

#include "iommu/ioas.hpp"
#include "iommu/iommu.hpp"
#include "uapi/ioctl_table.hpp"
#include "vfio/dirty_bitmap.hpp"

namespace vfiolab::vfio {

class Type1 {
 public:
  // `limit` is how many mappings it may hold. `version` is VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU:
  // v2 refuses to cut a mapping in two.
  Type1(const Iommu& iommu, u32 limit, unsigned version);
  ~Type1();
  Type1(const Type1&) = delete;
  Type1& operator=(const Type1&) = delete;

  const std::shared_ptr<Ioas>& ioas() const { return ioas_; }
  bool has_invalid_addresses() const { return invalid_addresses_ != 0; }

  Reply GetInfo(const uapi::IoctlCall& call);
  Reply MapDma(const uapi::IoctlCall& call);
  Reply UnmapDma(const uapi::IoctlCall& call);
  Reply DirtyPages(const uapi::IoctlCall& call);

 private:
  Result<> CheckMap(const vfio_iommu_type1_dma_map& map) const;
  Reply MapNew(CallContext& caller, const vfio_iommu_type1_dma_map& map, IovaRange range);
  Reply UpdateAddress(CallContext& caller, const vfio_iommu_type1_dma_map& map, IovaRange range);

  Result<> CheckUnmap(const vfio_iommu_type1_dma_unmap& unmap) const;
  Result<u64> Unmap(const vfio_iommu_type1_dma_unmap& unmap);
  Result<> CheckNotBisected(IovaRange range);
  Result<u64> InvalidateAddresses(IovaRange range);
  Ioas::Mappings::iterator Remove(Ioas::Mappings::iterator it);

  Result<vfio_bitmap> CopyInBitmap(const uapi::IoctlCall& call, u64 offset, u64 size) const;
  Result<> WriteDirtyBits(CallContext& caller, IovaRange range, const vfio_bitmap& bitmap);

  const Iommu& iommu_;
  unsigned version_;
  std::vector<IovaRange> allowed_;
  u64 available_;  // mappings that may still be made
  unsigned invalid_addresses_ = 0;
  bool dirty_tracking_ = false;
  std::map<u64, DirtyBitmap> dirty_bitmaps_;  // of mappings that were asked for, by first IOVA
  std::shared_ptr<Ioas> ioas_ = std::make_shared<Ioas>();
};

}  // namespace vfiolab::vfio
