// The list of capabilities at the tail of VFIO's info structs.
#pragma once
#include <linux/vfio.h>

#include <vector>

#include "base/bytes.hpp"

namespace vfiolab::uapi {

class CapabilityChain {
 public:
  // `cap` begins with a vfio_info_cap_header. Entries are padded to 8 bytes.
  void Add(std::span<const std::byte> cap) {
    starts_.push_back(bytes_.size());
    bytes_.insert(bytes_.end(), cap.begin(), cap.end());
    bytes_.resize((bytes_.size() + 7) & ~std::size_t{7});
  }
  std::size_t size() const { return bytes_.size(); }

  // The chain as it lies behind a struct of `base` bytes: `next` counts from the struct's start.
  std::vector<std::byte> Place(std::size_t base) const {
    std::vector<std::byte> placed = bytes_;
    for (std::size_t i = 0; i + 1 < starts_.size(); ++i) {
      const u32 next = static_cast<u32>(base + starts_[i + 1]);
      std::memcpy(placed.data() + starts_[i] + offsetof(vfio_info_cap_header, next), &next,
                  sizeof next);
    }
    return placed;
  }

 private:
  std::vector<std::byte> bytes_;
  std::vector<std::size_t> starts_;
};

}  // namespace vfiolab::uapi
