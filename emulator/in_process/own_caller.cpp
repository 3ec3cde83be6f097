#include "in_process/own_caller.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "process/guarded_copy.hpp"

namespace vfiolab::in_process {

namespace {

// Page by page, as a part of one may be all there is: how many bytes could be moved.
template <class Move>
std::size_t ByPages(u64 at, std::size_t size, Move move) {
  std::size_t done = 0;
  while (done < size) {
    const std::size_t part =
        std::min<std::size_t>(size - done, kPageSize - (at + done) % kPageSize);
    if (!move(at + done, done, part)) break;
    done += part;
  }
  return done;
}

}  // namespace

std::size_t OwnCaller::ReadSome(ClientAddress from, std::span<std::byte> to) {
  return ByPages(Raw(from), to.size(), [&](u64 at, std::size_t done, std::size_t size) {
    return GuardedCopy(to.data() + done, reinterpret_cast<const void*>(at), size);
  });
}

Result<> OwnCaller::Read(ClientAddress from, std::span<std::byte> to) {
  if (GuardedCopy(to.data(), reinterpret_cast<const void*>(Raw(from)), to.size())) return {};
  return Fail(EFAULT, fmt::format("cannot read {} bytes at {:#x}", to.size(), Raw(from)));
}

Result<> OwnCaller::Write(ClientAddress to, std::span<const std::byte> from) {
  const std::size_t moved =
      ByPages(Raw(to), from.size(), [&](u64 at, std::size_t done, std::size_t size) {
        return GuardedCopy(reinterpret_cast<void*>(at), from.data() + done, size);
      });
  if (moved == from.size()) return {};
  return Fail(EFAULT, fmt::format("cannot write {} bytes at {:#x}", from.size(), Raw(to)));
}

Result<Eventfd> OwnCaller::ImportEventfd(int fd) { return DuplicateOwnEventfd(fd); }

Result<std::shared_ptr<OpenFile>> OwnCaller::ImportOpenFile(int fd) {
  if (const auto& opened = process_.descriptors.Find(fd)) return opened->file;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_PATH) != 0)
    return Fail(EBADF, fmt::format("descriptor {} is not open", fd));
  return std::shared_ptr<OpenFile>();
}

}  // namespace vfiolab::in_process
