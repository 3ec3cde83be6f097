#include "tracer/device_access.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/trace.hpp"
#include "process/caller.hpp"

namespace vfiolab::tracer {

Result<DeviceAccess> DeviceAccess::Open(const std::string& tree) {
  const std::string path = tree + "/.mmio";
  UniqueFd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return Fail(errno, fmt::format("{}: {}", path, ErrnoName(errno)));
  UniqueFd announced(::openat(directory.get(), "tracer", O_RDWR | O_CLOEXEC));
  if (!announced && errno != ENOENT && errno != EOPNOTSUPP)
    return Fail(errno, fmt::format("{}/tracer: {}", path, ErrnoName(errno)));
  struct stat found {};
  if (::fstat(directory.get(), &found) != 0) return Fail(errno, path);
  return DeviceAccess(std::move(directory), std::move(announced), found.st_dev);
}

bool DeviceAccess::Owns(pid_t tid, int descriptor) const {
  const auto found = StatDescriptor(tid, descriptor);
  return found && makedev(found->stx_dev_major, found->stx_dev_minor) == tree_;
}

int DeviceAccess::FileOf(pid_t tid, ThreadFiles& files, ino_t inode) const {
  UniqueFd& file = files.devices[inode];
  if (!file)
    file.Reset(
        ::openat(directory_.get(), fmt::format("{}.{}", inode, tid).c_str(), O_RDWR | O_CLOEXEC));
  return file.get();
}

Result<> DeviceAccess::Load(pid_t tid, ThreadFiles& files, const Vma& vma, u64 address,
                            std::span<std::byte> to) const {
  const auto offset = static_cast<off_t>(vma.offset + (address - vma.first));
  const ssize_t moved = ::pread(FileOf(tid, files, vma.inode), to.data(), to.size(), offset);
  if (moved == static_cast<ssize_t>(to.size())) return {};
  return Fail(EIO, fmt::format("no device answers at {:#x}", address));
}

Result<> DeviceAccess::Store(pid_t tid, ThreadFiles& files, const Vma& vma, u64 address,
                             std::span<const std::byte> from) const {
  const auto offset = static_cast<off_t>(vma.offset + (address - vma.first));
  const ssize_t moved = ::pwrite(FileOf(tid, files, vma.inode), from.data(), from.size(), offset);
  if (moved == static_cast<ssize_t>(from.size())) return {};
  return Fail(EIO, fmt::format("no device answers at {:#x}", address));
}

}  // namespace vfiolab::tracer
