#include "transport/memory_call.hpp"

#include <algorithm>

namespace vfiolab {

void TellOfMemory(EventLoop& loop, CallerServices& services, const TrappedCall& call) {
  const auto whole_pages = [](u64 size) { return (size + kPageSize - 1) & ~(kPageSize - 1); };
  const auto tell = [&](u64 from, u64 size) {
    if (from % kPageSize != 0) return;  // refused
    Caller caller(services, call.tid());
    loop.door().Unmap(loop.Now(), caller, ClientAddress{from}, whole_pages(size));
  };
  const u64 first = call.argument(0), second = call.argument(1);
  switch (call.number()) {
    case SYS_munmap:
      return tell(first, second);
    case SYS_madvise:
      if (std::ranges::count(kDroppingAdvice, call.argument32(2)) != 0) tell(first, second);
      return;
    case SYS_mmap:
      if ((call.argument(3) & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == MAP_FIXED) tell(first, second);
      return;
    case SYS_mremap: {
      const u64 before = whole_pages(second), after = whole_pages(call.argument(2));
      const u64 flags = call.argument(3);
      const bool moves = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 ||
                         (after > before && (flags & MREMAP_MAYMOVE) != 0);
      if (moves)
        tell(first, before);
      else if (after < before)
        tell(first + after, before - after);
      if ((flags & MREMAP_FIXED) != 0) tell(call.argument(4), after);
      return;
    }
    default:
      return;
  }
}

}  // namespace vfiolab
