// Tables of ioctls of which each revision of an interface, or each of its policies, has some.
#pragma once
#include <linux/ioctl.h>

#include "uapi/ioctl_table.hpp"

namespace vfiolab::uapi {

template <class File>
struct EarlyRow : IoctlRow<File> {
  bool of_32_bit = false;  // a number of 32-bit programs, whose argument has another size
};

// `Calls` is ordered in time.
template <class File, class Calls>
struct RevisedRow : EarlyRow<File> {
  Calls first, last;  // of the revisions that have it
  bool IsIn(Calls calls) const { return first <= calls && calls <= last; }
};

// asm-generic/ioctl.h, with the letter of VFIO.
constexpr u32 Number(u32 direction, u32 number, std::size_t size) {
  return direction << _IOC_DIRSHIFT | static_cast<u32>(size) << _IOC_SIZESHIFT |
         u32{';'} << _IOC_TYPESHIFT | number;
}
inline constexpr u32 kNone = _IOC_NONE, kWrite = _IOC_WRITE, kRead = _IOC_READ,
                     kBoth = _IOC_READ | _IOC_WRITE;
constexpr u32 Plain(u32 number) { return Number(kNone, number, 0); }

// Checks a table while it compiles: no number twice in one revision.
template <class File, class Calls, std::size_t N>
consteval bool AreUnique(const RevisedRow<File, Calls> (&table)[N]) {
  for (std::size_t i = 0; i < N; ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (table[i].command == table[j].command && table[i].first <= table[j].last &&
          table[j].first <= table[i].last)
        return false;
  return true;
}

// Calls the row that `which` has: a revision's calls, or whatever rows ask in IsIn().
template <class Row, std::size_t N, class File, class Which>
Reply Dispatch(const Row (&table)[N], File& file, const Which& which, CallContext& caller,
               u32 command, u64 argument, int unknown) {
  for (const Row& row : table)
    if (row.command == command && row.IsIn(which) && (!row.of_32_bit || caller.is_32_bit()))
      return (file.*row.handler)(IoctlCall{caller, row.name, argument});
  return Fail(unknown, fmt::format("unknown ioctl {:#x}", command));
}

// For documentation checks: those of 64-bit programs.
using NamedNumbers = std::vector<std::pair<const char*, u32>>;
template <class Row, std::size_t N, class Which>
NamedNumbers NumbersOf(const Row (&table)[N], const Which& which) {
  NamedNumbers numbers;
  for (const Row& row : table)
    if (row.IsIn(which) && !row.of_32_bit) numbers.emplace_back(row.name, row.command);
  return numbers;
}

}  // namespace vfiolab::uapi
