// The bits that the kernel keeps of a mapping's pages while it tracks dirty ones
// (vfio_iommu_type1.c update_user_bitmap).
#pragma once
#include <array>
#include <vector>

#include "base/bytes.hpp"

namespace vfiolab::vfio {

// Without a device that reports what it wrote, every page is dirty every time. What differs from
// mapping to mapping is what earlier answers left behind in the words at the end: the kernel shifts
// bits within them and clears only those of its pages.
class DirtyBitmap {
 public:
  explicit DirtyBitmap(u64 pages) : pages_(pages) {}

  // The words to write to a client in whose bitmap the pages begin at bit `shift` (below 64) of the
  // first word, in which `found` is now. `found` is not looked at when `shift` is 0.
  std::vector<u64> Report(unsigned shift, u64 found);

 private:
  u64 pages_;
  std::array<u64, 2> left_{};  // the word that holds the last page, without pages, and the next
};

}  // namespace vfiolab::vfio
