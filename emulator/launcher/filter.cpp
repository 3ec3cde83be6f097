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
#include "transport/transfer.hpp"

namespace vfiolab::launcher {
namespace {

// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV of Linux 5.19: a signal does not restart a call that the
// notifier has already taken up.
constexpr unsigned kWaitKillable = 1u << 5;

constexpr unsigned kReturningDescriptors[] = {VFIO_GROUP_GET_DEVICE_FD, VFIO_DEVICE_FEATURE};

class Rules {
 public:
  Rules() : context_(seccomp_init(SCMP_ACT_ALLOW), &seccomp_release) {}

  // Hands over what meets all conditions. Programs of other architectures run, but without
  // descriptors of devices.
  template <class... Conditions>
  void HandOver(int call, Conditions... conditions) {
    complete_ = complete_ && seccomp_rule_add(context_.get(), SCMP_ACT_NOTIFY, call,
                                              sizeof...(conditions), conditions...) == 0;
  }

  Result<std::vector<sock_filter>> Build() const {
    const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
    if (!complete_ || !file ||
        seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW) != 0 ||
        seccomp_export_bpf(context_.get(), file.get()) != 0)
      return Fail(EINVAL, "libseccomp cannot build the filter");
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
    if (::pread(file.get(), program.data(), static_cast<std::size_t>(size), 0) != size)
      return Fail(EIO, "the filter cannot be read back");
    return program;
  }

 private:
  std::unique_ptr<void, decltype(&seccomp_release)> context_;
  bool complete_ = true;
};

// FUSE copies as many bytes as the number of a command says, and fails where they are not there,
// before the emulator hears of it. VFIO has no command whose number says so: what has its letter
// and a size, or all bits, is a client's mistake, and its answer is the emulator's.
void AddSizedCommands(Rules& rules) {
  constexpr unsigned kLetterMask = _IOC_TYPEMASK << _IOC_TYPESHIFT;
  for (unsigned bit = 0; bit < _IOC_SIZEBITS; ++bit) {
    const unsigned size = 1u << (_IOC_SIZESHIFT + bit);
    rules.HandOver(SYS_ioctl, SCMP_A1(SCMP_CMP_MASKED_EQ, kLetterMask | size,
                                      VFIO_TYPE << _IOC_TYPESHIFT | size));
  }
  rules.HandOver(SYS_ioctl, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0xffffffff));
}

// FUSE moves the position of any file, has nothing to ask about a transfer of no bytes, and has no
// use for a buffer that is not there, or not all of it.
void AddWhatFuseAnswers(Rules& rules, bool all_buffers) {
  rules.HandOver(SYS_lseek, SCMP_A2(SCMP_CMP_LE, SEEK_MAX));
  for (const int call : {SYS_read, SYS_write}) rules.HandOver(call, SCMP_A2(SCMP_CMP_EQ, 0));
  for (const int call : Transfer::kCalls) {
    if (call == SYS_preadv2 || call == SYS_pwritev2) {
      // At -1 they begin at the file's position.
      if (all_buffers) rules.HandOver(call, SCMP_A3(SCMP_CMP_NE, ~u64{0}));
    } else if (all_buffers) {
      rules.HandOver(call);
    } else if (call == SYS_pread64 || call == SYS_pwrite64) {
      rules.HandOver(call, SCMP_A2(SCMP_CMP_EQ, 0));
    }
  }
}

Result<std::vector<sock_filter>> BuildProgram(bool all_buffers) {
  Rules rules;
  for (const unsigned command : kReturningDescriptors)
    rules.HandOver(SYS_ioctl, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, command));
  AddSizedCommands(rules);
  AddWhatFuseAnswers(rules, all_buffers);
  rules.HandOver(SYS_mmap, SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
  return rules.Build();
}

Result<int> Install(bool all_buffers, unsigned flags) {
  std::vector<sock_filter> program = TRY(BuildProgram(all_buffers));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  const auto listener = static_cast<int>(::syscall(
      SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &filter));
  if (listener >= 0) return listener;
  return Fail(errno, "the seccomp filter was refused: " + ErrnoName(errno) +
                         (errno == EBUSY ? "; is this already inside vfiolab run?" : ""));
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
    case SYS_preadv2:
    case SYS_pwritev2:
      return call.arguments[3] != ~u64{0};
    default:
      return std::ranges::count(Transfer::kCalls, call.number) != 0;
  }
}

Result<UniqueFd> InstallFilter(bool traced) {
  auto listener = Install(traced, kWaitKillable);
  if (!listener && listener.error().code == EACCES) {
    // Without CAP_SYS_ADMIN the kernel wants a promise that nobody gains privileges later.
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    listener = Install(traced, kWaitKillable);
  }
  // An older kernel: a signal may end a call that has been made, and it must not be made again.
  if (!listener && listener.error().code == EINVAL) listener = Install(false, 0);
  if (!listener) return Failure{std::move(listener).error()};
  return UniqueFd(*listener);
}

}  // namespace vfiolab::launcher
