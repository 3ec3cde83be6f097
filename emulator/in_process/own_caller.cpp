#include "in_process/own_caller.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "process/guarded_copy.hpp"

namespace vfiolab::in_process {

std::size_t OwnCaller::ReadSome(ClientAddress from, std::span<std::byte> to) {
  std::size_t moved = 0;
  while (moved < to.size()) {
    const u64 at = Raw(from) + moved;
    const auto part = to.subspan(moved, std::min(to.size() - moved, kPageSize - at % kPageSize));
    if (!GuardedCopy(part.data(), reinterpret_cast<const void*>(at), part.size())) break;
    moved += part.size();
  }
  return moved;
}

Result<> OwnCaller::Read(ClientAddress from, std::span<std::byte> to) {
  if (GuardedCopy(to.data(), reinterpret_cast<const void*>(Raw(from)), to.size())) return {};
  return Fail(EFAULT, fmt::format("cannot read {} bytes at {:#x}", to.size(), Raw(from)));
}

Result<> OwnCaller::Write(ClientAddress to, std::span<const std::byte> from) {
  if (GuardedCopy(reinterpret_cast<void*>(Raw(to)), from.data(), from.size())) return {};
  return Fail(EFAULT, fmt::format("cannot write {} bytes at {:#x}", from.size(), Raw(to)));
}

Result<Eventfd> OwnCaller::ImportEventfd(int fd) { return DuplicateOwnEventfd(fd); }

Result<std::shared_ptr<OpenFile>> OwnCaller::ImportOpenFile(int fd) {
  if (const auto& opened = process_.descriptors.Find(fd)) return opened->file;
  if (::fcntl(fd, F_GETFD) < 0) return Fail(EBADF, fmt::format("descriptor {} is not open", fd));
  return std::shared_ptr<OpenFile>();
}

}  // namespace vfiolab::in_process
