#include "process/procmap.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>

namespace vfiolab {
namespace {

// include/uapi/linux/fs.h of Linux 6.11; the headers of Debian 12 are older.
struct ProcmapQuery {
  u64 size;
  u64 query_flags;
  u64 query_addr;
  u64 vma_start;
  u64 vma_end;
  u64 vma_flags;
  u64 vma_page_size;
  u64 vma_offset;
  u64 inode;
  u32 dev_major;
  u32 dev_minor;
  u32 vma_name_size;
  u32 build_id_size;
  u64 vma_name_addr;
  u64 build_id_addr;
};
static_assert(sizeof(ProcmapQuery) == 104);

constexpr unsigned long kProcmapQuery = _IOWR('f', 17, ProcmapQuery);
constexpr u64 kReadable = 1, kWritable = 2, kShared = 8, kCoveringOrNext = 0x10;

// One line of /proc/PID/maps; nothing when the text is cut.
std::optional<Vma> ParseLine(const char* line) {
  unsigned long first = 0, end = 0, offset = 0, inode = 0;
  unsigned major_number = 0, minor_number = 0;
  char flags[5] = {};
  if (std::sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &first, &end, flags, &offset, &major_number,
                  &minor_number, &inode) != 7)
    return std::nullopt;
  return Vma{first,
             end - 1,
             flags[0] == 'r',
             flags[1] == 'w',
             flags[3] == 's',
             offset,
             makedev(major_number, minor_number),
             inode};
}

}  // namespace

Result<Vma> FindVmaInText(int maps_fd, u64 at) {
  if (::lseek(maps_fd, 0, SEEK_SET) < 0) return Fail(ESRCH, "maps cannot be read");
  std::string pending;
  char chunk[4096];
  bool any = false;
  for (ssize_t n; (n = ::read(maps_fd, chunk, sizeof chunk)) > 0;) {
    any = true;
    pending.append(chunk, static_cast<std::size_t>(n));
    std::size_t begin = 0;
    for (std::size_t end; (end = pending.find('\n', begin)) != pending.npos; begin = end + 1) {
      const auto vma = ParseLine(pending.substr(begin, end - begin).c_str());
      if (vma && vma->last >= at) return *vma;
    }
    pending.erase(0, begin);
  }
  if (!any) return Fail(ESRCH, "the process image is gone");
  return Fail(ENOENT, fmt::format("nothing is mapped at or above {:#x}", at));
}

Result<Vma> FindVma(int maps_fd, u64 at) {
  ProcmapQuery query{};
  query.size = sizeof query;
  query.query_flags = kCoveringOrNext;
  query.query_addr = at;
  if (::ioctl(maps_fd, kProcmapQuery, &query) == 0)
    return Vma{query.vma_start,
               query.vma_end - 1,
               (query.vma_flags & kReadable) != 0,
               (query.vma_flags & kWritable) != 0,
               (query.vma_flags & kShared) != 0,
               query.vma_offset,
               makedev(query.dev_major, query.dev_minor),
               query.inode};
  if (errno == ENOENT) return Fail(ENOENT, fmt::format("nothing is mapped at or above {:#x}", at));
  if (errno == ENOTTY) return FindVmaInText(maps_fd, at);
  return Fail(ESRCH, "the process image is gone");
}

}  // namespace vfiolab
