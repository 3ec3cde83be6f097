// Memory in files that clients have, too, and can cut short or punch holes into under our feet:
// then a touch raises SIGBUS.
#pragma once
#include <cstddef>
#include <span>

namespace vfiolab {

// Whole pages of our own. As long as this lives, one that is lost becomes a private page of zeros
// when it is touched; what clients see there is no longer the same. Made and destroyed in the
// core's turn.
class LossyMemory {
 public:
  explicit LossyMemory(std::span<std::byte> pages);
  ~LossyMemory();
  LossyMemory(LossyMemory&& other) noexcept;
  LossyMemory& operator=(LossyMemory&& other) noexcept;

 private:
  std::byte* begin_;
};

}  // namespace vfiolab
