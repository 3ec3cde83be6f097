#include "transport/cuse_host.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <fstream>

#include "base/trace.hpp"

namespace vfiolab {
namespace {

constexpr const char* kCuse = "/dev/cuse";

}  // namespace

Result<> KernelCuse::Check() {
  const UniqueFd fd(::open(kCuse, O_RDWR | O_CLOEXEC));
  if (fd) return {};
  const int code = errno;
  const char* remedy =
      code == EACCES || code == EPERM
          ? "it takes root"
          : "load the kernel's module (modprobe cuse) or use a kernel with CONFIG_CUSE";
  return Fail(code, fmt::format("{} cannot be opened ({}): {}; without --cuse FUSE carries all",
                                kCuse, ErrnoName(code), remedy));
}

Result<std::unique_ptr<KernelCuse>> KernelCuse::Mount(const std::string& directory) {
  if (::mount("vfiolab", directory.c_str(), "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=1m") !=
      0)
    return Fail(errno, fmt::format("tmpfs on {}: {}; nodes of CUSE take CAP_SYS_ADMIN", directory,
                                   ErrnoName(errno)));
  UniqueFd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Fail(errno, fmt::format("{}: {}", directory, ErrnoName(errno)));
  return std::unique_ptr<KernelCuse>(new KernelCuse(std::move(fd)));
}

Result<UniqueFd> KernelCuse::Connect() {
  UniqueFd fd(::open(kCuse, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return Fail(errno, fmt::format("{}: {}", kCuse, ErrnoName(errno)));
  return fd;
}

Result<dev_t> KernelCuse::NumberOf(const std::string& device) {
  std::string name = device;
  std::ranges::replace(name, '/', '!');  // as the driver core names it
  std::ifstream file(fmt::format("/sys/class/cuse/{}/dev", name));
  unsigned major_number = 0, minor_number = 0;
  char colon = 0;
  if (file >> major_number >> colon >> minor_number) return makedev(major_number, minor_number);
  return Fail(ENOENT, fmt::format("the kernel refused the CUSE device '{}': it says why in its log",
                                  device));
}

Result<> KernelCuse::Place(const std::string& name, mode_t permissions, dev_t number) {
  // Its permissions are set apart: mknod heeds the umask.
  if (::mknodat(directory_.get(), name.c_str(), S_IFCHR, number) == 0 &&
      ::fchmodat(directory_.get(), name.c_str(), permissions & 07777, 0) == 0)
    return {};
  return Fail(errno, fmt::format("a node for {}: {}; it takes CAP_MKNOD on the host", name,
                                 ErrnoName(errno)));
}

void KernelCuse::TakeAway(const std::string& name) {
  ::unlinkat(directory_.get(), name.c_str(), 0);
}

void KernelCuse::Ask(int fd, u32 command, u64 argument) { ::ioctl(fd, command, argument); }

}  // namespace vfiolab
