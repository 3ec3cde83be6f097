#include "transport/trapped_call.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/audit.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace vfiolab {

// Of 32-bit programs nothing but ioctl is trapped.
int TrappedCall::number() const { return is_32_bit() ? SYS_ioctl : call_.data.nr; }

bool TrappedCall::is_32_bit() const { return call_.data.arch != AUDIT_ARCH_X86_64; }

SocketCall TrappedCall::AsSocketCall() const {
  SocketCall call{.number = number(), .tid = tid()};
  std::ranges::copy(call_.data.args, call.arguments.begin());
  return call;
}

int TrappedCall::descriptor() const {
  switch (number()) {
    case SYS_mmap:
      return static_cast<int>(argument(4));
    case SYS_epoll_ctl:
      return static_cast<int>(argument(2));
    case SYS_sendfile:
      return static_cast<int>(argument(1));
    default:
      return static_cast<int>(argument(0));
  }
}

std::optional<int> TrappedCall::target() const {
  if (number() == SYS_sendfile) return static_cast<int>(argument(0));
  if (number() == SYS_splice || number() == SYS_copy_file_range)
    return static_cast<int>(argument(2));
  return std::nullopt;
}

bool TrappedCall::OpenedFor(int descriptor, bool reads, bool writes) const {
  struct stat link {};  // its own mode says how the descriptor was opened
  const std::string path = fmt::format("/proc/{}/fd/{}", tid(), descriptor);
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
