#include "device/memory_bar.hpp"

namespace vfiolab {

void MemoryBar::Read(Offset offset, std::span<std::byte> out) {
  std::memcpy(out.data(), bytes_.data() + offset, out.size());
}

void MemoryBar::Write(Offset offset, std::span<const std::byte> in) {
  std::memcpy(bytes_.data() + offset, in.data(), in.size());
}

}  // namespace vfiolab
