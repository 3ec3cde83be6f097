#include "process/guarded_copy.hpp"

#include <algorithm>
#include <cstdint>

#include "process/fault_signals.hpp"

// An instruction at label `from` that faults goes on at label `to`, as in the kernel's own copies
// (arch/x86/include/asm/extable.h).
#define VFIOLAB_FAULT(from, to)          \
  ".pushsection vfiolab_faults, \"a\"\n" \
  ".balign 4\n"                          \
  ".long " from " - ., " to              \
  " - .\n"                               \
  ".popsection\n"

namespace vfiolab {
namespace {

struct Entry {
  std::int32_t from, to;  // from here
};
extern "C" __attribute__((visibility("hidden"))) const Entry __start_vfiolab_faults[],
    __stop_vfiolab_faults[];

std::uintptr_t Place(const std::int32_t& relative) {
  return reinterpret_cast<std::uintptr_t>(&relative) + static_cast<std::uintptr_t>(relative);
}

bool GoOnElsewhere(siginfo_t&, ucontext_t& context) {
  auto& rip = context.uc_mcontext.gregs[REG_RIP];
  for (const Entry* entry = __start_vfiolab_faults; entry != __stop_vfiolab_faults; ++entry)
    if (Place(entry->from) == static_cast<std::uintptr_t>(rip)) {
      rip = static_cast<greg_t>(Place(entry->to));
      return true;
    }
  return false;
}

// `name` is how the assembler calls a register of that width.
#define VFIOLAB_MOVE(Word, name)                                            \
  bool Move(void* to, const void* from, Word word) {                        \
    bool moved = false;                                                     \
    asm volatile("1: mov (%[from]), %" name                                 \
                 "[word]\n"                                                 \
                 "2: mov %" name                                            \
                 "[word], (%[to])\n"                                        \
                 "movb $1, %b[moved]\n"                                     \
                 "3:\n" VFIOLAB_FAULT("1b", "3b") VFIOLAB_FAULT("2b", "3b") \
                 : [word] "+&r"(word), [moved] "+&r"(moved)                 \
                 : [to] "r"(to), [from] "r"(from)                           \
                 : "memory");                                               \
    return moved;                                                           \
  }
VFIOLAB_MOVE(std::uint8_t, "b")
VFIOLAB_MOVE(std::uint16_t, "w")
VFIOLAB_MOVE(std::uint32_t, "k")
VFIOLAB_MOVE(std::uint64_t, "q")

bool MoveBytes(void* to, const void* from, std::size_t count) {
  asm volatile("1: rep movsb\n2:\n" VFIOLAB_FAULT("1b", "2b")
               : "+D"(to), "+S"(from), "+c"(count)
               :
               : "memory");
  return count == 0;
}

// Where a long string instruction costs more to begin than it saves.
constexpr std::size_t kShort = 128;

}  // namespace

void ExpectFaults() { AddFaultHandler(GoOnElsewhere); }

bool GuardedCopy(void* to, const void* from, std::size_t count) {
  if (count > kShort) return MoveBytes(to, from, count);
  auto* target = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  const auto move = [&](auto word) {
    if (!Move(target, source, word)) return false;
    target += sizeof word, source += sizeof word, count -= sizeof word;
    return true;
  };
  while (count >= 8)
    if (!move(std::uint64_t{})) return false;
  if (count >= 4 && !move(std::uint32_t{})) return false;
  if (count >= 2 && !move(std::uint16_t{})) return false;
  return count == 0 || move(std::uint8_t{});
}

bool GuardedTouch(void* at, bool write) {
  bool touched = false;
  if (write)
    asm volatile("1: lock orb $0, (%[at])\nmovb $1, %b[touched]\n2:\n" VFIOLAB_FAULT("1b", "2b")
                 : [touched] "+r"(touched)
                 : [at] "r"(at)
                 : "memory", "cc");
  else
    asm volatile("1: testb $0, (%[at])\nmovb $1, %b[touched]\n2:\n" VFIOLAB_FAULT("1b", "2b")
                 : [touched] "+r"(touched)
                 : [at] "r"(at)
                 : "memory", "cc");
  return touched;
}

}  // namespace vfiolab
