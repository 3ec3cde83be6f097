#include "host_memory/backing_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mount.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.hpp"

namespace vfiolab {
namespace {

std::byte* Map(void* at, u64 size, int flags, int fd, u64 offset) {
  void* mapped = ::mmap(at, size, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
  CHECK_OURS(mapped != MAP_FAILED);
  return static_cast<std::byte*>(mapped);
}

bool IsZero(std::span<const std::byte> page) {
  static constexpr std::array<std::byte, kPageSize> kZeros{};
  return std::memcmp(page.data(), kZeros.data(), page.size()) == 0;
}

}  // namespace

BackingFile::~BackingFile() {
  for (const Part& part : parts_) ::munmap(part.bytes.data(), part.bytes.size());
}

std::span<std::byte> BackingFile::Allocate(u64 offset, u64 size) {
  CHECK_OURS(!fd_);
  const std::span bytes{Map(nullptr, size, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size};
  parts_.insert(std::ranges::upper_bound(parts_, offset, {}, &Part::offset), {offset, bytes});
  return bytes;
}

void BackingFile::Trap(u64 offset, u64 size) {
  CHECK_OURS(!fd_);
  traps_.push_back({offset, size});
}

void BackingFile::Move(unsigned from, unsigned to) {
  const bool was_reachable = reachable_;
  SetReachable(false);
  const auto moved = [&](u64 offset) {
    return (offset >> from) << to | (offset & ((u64{1} << from) - 1));
  };
  for (Part& part : parts_) part.offset = moved(part.offset);
  for (Extent& trap : traps_) trap.offset = moved(trap.offset);
  SetReachable(was_reachable);
}

bool BackingFile::IsTrap(u64 offset) const {
  return std::ranges::any_of(traps_,
                             [&](const Extent& trap) { return offset - trap.offset < trap.size; });
}

u64 BackingFile::length() const {
  u64 length = 0;
  for (const Part& part : parts_) length = std::max(length, part.offset + part.bytes.size());
  for (const Extent& trap : traps_) length = std::max(length, trap.offset + trap.size);
  return length;
}

void BackingFile::SetReachable(bool reachable) {
  if (reachable == std::exchange(reachable_, reachable)) return;
  if (!fd_) Create();
  if (!fd_) return;
  if (reachable)
    Publish();
  else
    Withdraw();
}

void BackingFile::Create() {
  if (HasTraps()) {
    fd_ = CreateFull();
    return;
  }
  // Opened again: the kernel does not count the first open of a memfd among the writers of a file,
  // and so would give no lease on it (IsInUse).
  const UniqueFd memory(::memfd_create(name_.c_str(), MFD_CLOEXEC));
  fd_ = UniqueFd(::open(fmt::format("/proc/self/fd/{}", memory.get()).c_str(), O_RDWR | O_CLOEXEC));
}

u64 BackingFile::allocated() const {
  u64 size = 0;
  for (const Part& part : parts_) size += part.bytes.size();
  return std::max<u64>(size, kPageSize);  // 0 would mean no limit
}

// No file, where the emulator may not mount: then nothing can be mapped into clients anyway.
UniqueFd BackingFile::CreateFull() const {
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)));
  if (!context) return {};
  const auto configure = [&](unsigned command, const char* key, const char* value) {
    return ::syscall(SYS_fsconfig, context.get(), command, key, value, 0) == 0;
  };
  if (!configure(FSCONFIG_SET_STRING, "size", std::to_string(allocated()).c_str()) ||
      !configure(FSCONFIG_CMD_CREATE, nullptr, nullptr))
    return {};
  const UniqueFd mount(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
  return UniqueFd(::openat(mount.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

// Takes all blocks of the file system, so that a fault anywhere else in the file finds none. They
// lie beyond the end of the file, and so out of reach, until it grows.
void BackingFile::FillUp() {
  const auto take = [&](u64 offset, u64 size) {
    CHECK_OURS(::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                           static_cast<off_t>(size)) == 0);
  };
  for (const Part& part : parts_) take(part.offset, part.bytes.size());
  if (parts_.empty()) take((length() + kPageSize - 1) & ~(kPageSize - 1), kPageSize);
}

void BackingFile::Publish() {
  if (HasTraps()) FillUp();
  // Upwards, as each write lets clients see what lies below its end.
  for (const Part& part : parts_)
    for (u64 at = 0; at < part.bytes.size(); at += kPageSize) {
      const auto page = part.bytes.subspan(at, std::min<u64>(kPageSize, part.bytes.size() - at));
      if (IsZero(page)) continue;
      CHECK_OURS(
          ::pwrite(fd_.get(), page.data(), page.size(), static_cast<off_t>(part.offset + at)) ==
          static_cast<ssize_t>(page.size()));
    }
  CHECK_OURS(::ftruncate(fd_.get(), static_cast<off_t>(length())) == 0);
  for (const Part& part : parts_)
    Map(part.bytes.data(), part.bytes.size(), MAP_SHARED | MAP_FIXED, fd_.get(), part.offset);
}

void BackingFile::Withdraw() {
  for (const Part& part : parts_) {
    const u64 size = part.bytes.size();
    std::byte* copy = Map(nullptr, size, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const auto end = static_cast<off_t>(part.offset + size);
    for (off_t at = static_cast<off_t>(part.offset);;) {
      const off_t data = ::lseek(fd_.get(), at, SEEK_DATA);
      if (data < 0 || data >= end) break;
      at = std::min(::lseek(fd_.get(), data, SEEK_HOLE), end);
      CHECK_OURS(::pread(fd_.get(), copy + (data - static_cast<off_t>(part.offset)),
                         static_cast<std::size_t>(at - data), data) == at - data);
    }
    CHECK_OURS(::mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, part.bytes.data()) !=
               MAP_FAILED);
  }
  CHECK_OURS(::ftruncate(fd_.get(), 0) == 0);
}

// The kernel gives a lease for writing only to whoever alone has the file open; a mapping of a
// client keeps its own open file. Whoever opens it meanwhile breaks the lease, of which its holder
// is told by a signal: by one that does nothing, in place of SIGIO, which would end the emulator.
bool BackingFile::IsInUse(int fd) {
  ::fcntl(fd, F_SETSIG, SIGURG);
  const bool alone = ::fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
  if (alone) ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return !alone && errno == EAGAIN;
}

}  // namespace vfiolab
