#include "transport/trapped_call.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace vfiolab {

int TrappedCall::descriptor() const {
  return static_cast<int>(argument(number() == SYS_mmap ? 4 : 0));
}

bool TrappedCall::OpenedFor(bool reads, bool writes) const {
  struct stat link {};  // its own mode says how the descriptor was opened
  const std::string path = fmt::format("/proc/{}/fd/{}", tid(), descriptor());
  if (::lstat(path.c_str(), &link) != 0) return false;
  return (!reads || (link.st_mode & S_IRUSR) != 0) && (!writes || (link.st_mode & S_IWUSR) != 0);
}

bool TrappedCall::waits() const {
  u64 id = call_.id;
  return ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

void TrappedCall::ReturnDescriptor(UniqueFd fd, int flags) {
  seccomp_notif_addfd add{};
  add.id = call_.id;
  add.srcfd = static_cast<u32>(fd.get());
  add.newfd_flags = static_cast<u32>(flags & O_CLOEXEC);
  const int installed = ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
  const int error = errno;
  fd.Reset();
  if (installed >= 0)
    Return(installed);
  else
    FailWith(error);  // EMFILE: the caller has too many; ENOENT: it is gone
}

void TrappedCall::Respond(long value, int error, u32 flags) {
  if (answered_.exchange(true)) return;
  seccomp_notif_resp response{};
  response.id = call_.id;
  response.val = value;
  response.error = error;
  response.flags = flags;
  ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

}  // namespace vfiolab
