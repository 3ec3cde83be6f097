#include "launcher/filter.hpp"

#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/vfio.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/trace.hpp"

namespace vfiolab::launcher {
namespace {

// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV of Linux 5.19: a signal does not restart a call that the
// notifier has already taken up.
constexpr unsigned kWaitKillable = 1u << 5;

constexpr unsigned kReturningDescriptors[] = {VFIO_GROUP_GET_DEVICE_FD, VFIO_DEVICE_FEATURE};
constexpr int kTransfers[] = {SYS_pread64, SYS_pwrite64, SYS_preadv,
                              SYS_pwritev, SYS_preadv2,  SYS_pwritev2};

// FUSE copies as many bytes as the number of a command says, and fails where they are not there,
// before the emulator hears of it. VFIO has no command whose number says so: what has its letter
// and a size, or all bits, is a client's mistake, and its answer is the emulator's.
void TrapSizedCommands(scmp_filter_ctx context) {
  constexpr unsigned kLetterMask = _IOC_TYPEMASK << _IOC_TYPESHIFT;
  for (unsigned bit = 0; bit < _IOC_SIZEBITS; ++bit) {
    const unsigned size = 1u << (_IOC_SIZESHIFT + bit);
    seccomp_rule_add(
        context, SCMP_ACT_NOTIFY, SCMP_SYS(ioctl), 1,
        SCMP_A1(SCMP_CMP_MASKED_EQ, kLetterMask | size, VFIO_TYPE << _IOC_TYPESHIFT | size));
  }
  seccomp_rule_add(context, SCMP_ACT_NOTIFY, SCMP_SYS(ioctl), 1,
                   SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0xffffffff));
}

// FUSE moves the position of any file, has nothing to ask about a transfer of no bytes, and has no
// use for a buffer that is not there, or not all of it.
void TrapWhatFuseAnswers(scmp_filter_ctx context, bool all_buffers) {
  seccomp_rule_add(context, SCMP_ACT_NOTIFY, SCMP_SYS(lseek), 1, SCMP_A2(SCMP_CMP_LE, SEEK_MAX));
  for (const int call : {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(pread64), SCMP_SYS(pwrite64)})
    seccomp_rule_add(context, SCMP_ACT_NOTIFY, call, 1, SCMP_A2(SCMP_CMP_EQ, 0));
  if (!all_buffers) return;
  for (const int call : kTransfers) seccomp_rule_add(context, SCMP_ACT_NOTIFY, call, 0);
}

Result<std::vector<sock_filter>> BuildProgram(bool traced) {
  const std::unique_ptr<void, decltype(&seccomp_release)> context(seccomp_init(SCMP_ACT_ALLOW),
                                                                  &seccomp_release);
  if (!context) return Fail(ENOMEM, "libseccomp");
  // Programs of other architectures run, but without descriptors of devices.
  seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
  for (const unsigned command : kReturningDescriptors)
    seccomp_rule_add(context.get(), SCMP_ACT_NOTIFY, SCMP_SYS(ioctl), 1,
                     SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, command));
  TrapSizedCommands(context.get());
  TrapWhatFuseAnswers(context.get(), traced);
  seccomp_rule_add(context.get(), SCMP_ACT_NOTIFY, SCMP_SYS(mmap), 1,
                   SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
  const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file || seccomp_export_bpf(context.get(), file.get()) != 0)
    return Fail(EINVAL, "libseccomp cannot build the filter");
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), static_cast<std::size_t>(size), 0) != size)
    return Fail(EIO, "the filter cannot be read back");
  return program;
}

}  // namespace

bool IsHandedOver(const tracer::SystemCall& call) {
  const auto command = static_cast<unsigned>(call.arguments[1]);
  switch (call.number) {
    case SYS_ioctl:
      return std::ranges::count(kReturningDescriptors, command) != 0 || command == ~0u ||
             (_IOC_TYPE(command) == VFIO_TYPE && _IOC_SIZE(command) != 0);
    case SYS_read:
    case SYS_write:
      return call.arguments[2] == 0;
    case SYS_mmap:
    case SYS_lseek:
      return true;
    default:
      return std::ranges::count(kTransfers, call.number) != 0;
  }
}

Result<UniqueFd> InstallFilter(bool traced) {
  std::vector<sock_filter> program = TRY(BuildProgram(traced));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  const auto install = [&](unsigned flags) {
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                      SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &filter));
  };
  int listener = install(kWaitKillable);
  if (listener < 0 && errno == EINVAL) listener = install(0);
  if (listener < 0 && errno == EACCES) {
    // Without CAP_SYS_ADMIN the kernel wants a promise that nobody gains privileges later.
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    listener = install(kWaitKillable);
    if (listener < 0 && errno == EINVAL) listener = install(0);
  }
  if (listener < 0)
    return Fail(errno, "the seccomp filter was refused: " + ErrnoName(errno) +
                           (errno == EBUSY ? "; is this already inside vfiolab run?" : ""));
  return UniqueFd(listener);
}

}  // namespace vfiolab::launcher
