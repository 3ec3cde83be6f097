#include "process/caller.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cstdlib>
#include <fstream>
#include <string_view>

#include "base/trace.hpp"

namespace vfiolab {
namespace {

constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9

UniqueFd OpenPidfd(pid_t tid) {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, tid, kPidfdThread)));
  // Older kernels know processes only.
  if (!pidfd && errno == EINVAL)
    pidfd.Reset(static_cast<int>(::syscall(SYS_pidfd_open, ThreadGroupOf(tid), 0)));
  return pidfd;
}

std::string DescriptorPath(pid_t tid, int fd) { return fmt::format("/proc/{}/fd/{}", tid, fd); }

// Why a descriptor of a client could not be had, by errno.
Failure<Error> DescriptorFailure(pid_t tid, int fd) {
  if (errno == EPERM || errno == EACCES)
    return Fail(EBADF,
                "the emulator may not take the client's descriptors: it needs CAP_SYS_PTRACE");
  if (errno == EMFILE || errno == ENFILE)
    return Fail(ENOMEM, "the emulator has no descriptor left for a copy of the client's");
  return Fail(EBADF, fmt::format("descriptor {} of thread {} is not open", fd, tid));
}

Result<> CheckEventfd(pid_t tid, int fd) {
  char target[64] = {};
  if (::readlink(DescriptorPath(tid, fd).c_str(), target, sizeof target - 1) < 0)
    return DescriptorFailure(tid, fd);
  if (std::string_view(target) != "anon_inode:[eventfd]")
    return Fail(EINVAL, fmt::format("descriptor {} is no eventfd", fd));
  return {};
}

// 0: nobody.
pid_t TracerOf(pid_t tid) {
  std::ifstream status(fmt::format("/proc/{}/status", tid));
  constexpr std::string_view kField = "TracerPid:";
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(kField)) return std::atoi(line.c_str() + kField.size());
  return 0;
}

}  // namespace

std::size_t Caller::ReadSome(ClientAddress from, std::span<std::byte> to) {
  if (services_.turn.IsCutOff(tid_)) return 0;
  const iovec local{to.data(), to.size()};
  const iovec remote{reinterpret_cast<void*>(Raw(from)), to.size()};
  const Turn::ClientAccess access(services_.turn, tid_);
  const ssize_t moved = ::process_vm_readv(tid_, &local, 1, &remote, 1, 0);
  return moved < 0 ? 0 : static_cast<std::size_t>(moved);
}

Result<> Caller::Read(ClientAddress from, std::span<std::byte> to) {
  const std::size_t moved = ReadSome(from, to);
  if (moved == to.size()) return {};
  return Fail(EFAULT, fmt::format("cannot read {} bytes at {:#x}: only {} are there", to.size(),
                                  Raw(from), moved));
}

Result<> Caller::Write(ClientAddress to, std::span<const std::byte> from) {
  if (services_.turn.IsCutOff(tid_)) return Fail(EFAULT, "the client was cut off");
  const iovec local{const_cast<std::byte*>(from.data()), from.size()};
  const iovec remote{reinterpret_cast<void*>(Raw(to)), from.size()};
  const Turn::ClientAccess access(services_.turn, tid_);
  const ssize_t moved = ::process_vm_writev(tid_, &local, 1, &remote, 1, 0);
  if (moved == static_cast<ssize_t>(from.size())) return {};
  return Fail(EFAULT, fmt::format("cannot write {} bytes at {:#x}: {}", from.size(), Raw(to),
                                  moved < 0 ? ErrnoName(errno) : "a part is not mapped"));
}

Result<std::shared_ptr<AddressSpace>> Caller::address_space() {
  std::shared_ptr<AddressSpace> space = TRY(services_.mms.Find(tid_));
  return space;
}

Result<UniqueFd> DuplicateDescriptor(pid_t tid, int fd) {
  const UniqueFd pidfd = OpenPidfd(tid);
  if (!pidfd) return DescriptorFailure(tid, fd);
  UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0)));
  if (!copy) return DescriptorFailure(tid, fd);
  return copy;
}

Result<struct statx> StatDescriptor(pid_t tid, int fd) {
  struct statx found {};
  // Without AT_STATX_DONT_SYNC the kernel would ask this very thread.
  if (::statx(AT_FDCWD, DescriptorPath(tid, fd).c_str(), AT_STATX_DONT_SYNC,
              STATX_TYPE | STATX_INO | STATX_SIZE, &found) != 0)
    return DescriptorFailure(tid, fd);
  return found;
}

Result<DescriptorInfo> InfoOfDescriptor(pid_t tid, int fd) {
  std::ifstream info(fmt::format("/proc/{}/fdinfo/{}", tid, fd));
  DescriptorInfo found;
  for (std::string word; info >> word;) {
    if (word == "pos:") info >> std::dec >> found.position;
    if (word != "flags:") continue;
    info >> std::oct >> found.flags;
    found.flags &= ~O_CLOEXEC;
    return found;
  }
  return DescriptorFailure(tid, fd);
}

bool IsPathOnly(pid_t tid, int fd) {
  struct stat link {};  // its mode says how the descriptor was opened, which costs less to ask
  if (::lstat(DescriptorPath(tid, fd).c_str(), &link) != 0) return false;
  if ((link.st_mode & (S_IRUSR | S_IWUSR)) != 0) return false;
  const auto info = InfoOfDescriptor(tid, fd);
  return info && (info->flags & O_PATH) != 0;
}

bool Caller::can_trap() const {
  if (services_.tracers.empty()) return false;
  const auto known = services_.traced.find(tid_);
  if (known != services_.traced.end()) return known->second;
  constexpr std::size_t kMost = 4096;
  if (services_.traced.size() >= kMost) services_.traced.clear();
  return services_.traced[tid_] = services_.tracers.contains(TracerOf(tid_));
}

Result<Eventfd> DuplicateOwnEventfd(int fd) {
  TRY(CheckEventfd(::getpid(), fd));
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return DescriptorFailure(::getpid(), fd);
  return Eventfd(std::move(copy));
}

Result<Eventfd> Caller::ImportEventfd(int fd) {
  TRY(CheckEventfd(tid_, fd));
  UniqueFd copy = TRY(DuplicateDescriptor(tid_, fd));
  if (const auto still = CheckEventfd(::getpid(), copy.get()); !still) {
    const Turn::ClientAccess access(services_.turn, tid_);  // closes what is another's after all
    copy.Reset();
    return Failure{still.error()};
  }
  return Eventfd(std::move(copy));
}

Result<std::shared_ptr<OpenFile>> Caller::ImportOpenFile(int fd) {
  return services_.files.FindOpenFile(tid_, fd);
}

}  // namespace vfiolab
