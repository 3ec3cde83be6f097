// Which advice of madvise drops pages that a process has.
#pragma once
#include <sys/mman.h>

#include <array>

namespace vfiolab {

inline constexpr std::array<unsigned, 3> kDroppingAdvice{MADV_DONTNEED, MADV_FREE, MADV_REMOVE};

}  // namespace vfiolab
