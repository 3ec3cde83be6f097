#include "launcher/filter.hpp"

#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/vfio.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <vector>

#include "base/trace.hpp"
#include "launcher/descriptor_message.hpp"
#include "netlink/socket_call.hpp"
#include "transport/memory_call.hpp"
#include "transport/regular_file_call.hpp"
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

  // Hands over what meets all conditions.
  template <class... Conditions>
  void HandOver(int call, Conditions... conditions) {
    complete_ = complete_ && seccomp_rule_add(context_.get(), SCMP_ACT_NOTIFY, call,
                                              sizeof...(conditions), conditions...) == 0;
  }

  // From now on rules are for 32-bit programs of this machine alone.
  void Become32Bit() {
    complete_ = complete_ && seccomp_arch_remove(context_.get(), SCMP_ARCH_NATIVE) == 0 &&
                seccomp_arch_add(context_.get(), SCMP_ARCH_X86) == 0;
  }
  void Join(Rules&& others) {
    complete_ =
        complete_ && others.complete_ && seccomp_merge(context_.get(), others.context_.get()) == 0;
    if (complete_) static_cast<void>(others.context_.release());
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
// before the emulator hears of it. Of VFIO's commands only those of before 2012 have numbers that
// say so, and lists may be longer than these tell; today such a number is a client's mistake.
// Either is the emulator's to answer, as are all bits. Other drivers have such commands.
void AddSizedCommands(Rules& rules, bool of_all_drivers) {
  const unsigned letter_mask = of_all_drivers ? 0 : _IOC_TYPEMASK << _IOC_TYPESHIFT;
  const unsigned letter = of_all_drivers ? 0 : VFIO_TYPE << _IOC_TYPESHIFT;
  for (unsigned bit = 0; bit < _IOC_SIZEBITS; ++bit) {
    const unsigned size = 1u << (_IOC_SIZESHIFT + bit);
    rules.HandOver(SYS_ioctl, SCMP_A1(SCMP_CMP_MASKED_EQ, letter_mask | size, letter | size));
  }
  rules.HandOver(SYS_ioctl, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0xffffffff));
}

// FUSE has nothing to ask about a transfer of no bytes, and has no use for a buffer that is not
// there, or not all of it.
void AddTransfers(Rules& rules, Extent extent) {
  for (const int call : {SYS_read, SYS_write, SYS_pread64, SYS_pwrite64})
    rules.HandOver(call, SCMP_A2(SCMP_CMP_EQ, 0));
  if (extent == Extent::kUntraced) return;
  for (const int call : Transfer::kAtOffset) {
    if (extent == Extent::kAll || (call != SYS_preadv2 && call != SYS_pwritev2))
      rules.HandOver(call);
    else  // at -1 they begin at the file's position
      rules.HandOver(call, SCMP_A3(SCMP_CMP_NE, ~u64{0}));
  }
  if (extent == Extent::kTraced) return;
  for (const int call : Transfer::kAtPosition) rules.HandOver(call);
}

// All, or those that return descriptors.
void AddVfioCommands(Rules& rules, int ioctl, bool all) {
  constexpr unsigned kType = _IOC_TYPEMASK << _IOC_TYPESHIFT;
  for (const unsigned command : kReturningDescriptors)
    rules.HandOver(ioctl, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, command));
  if (all) rules.HandOver(ioctl, SCMP_A1(SCMP_CMP_MASKED_EQ, kType, VFIO_TYPE << _IOC_TYPESHIFT));
}

void AddMemoryCalls(Rules& rules) {
  for (const int call : kUnmappingCalls) rules.HandOver(call);
  for (const unsigned advice : kDroppingAdvice)
    rules.HandOver(SYS_madvise, SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffff, advice));
  rules.HandOver(SYS_mmap, SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_FIXED, MAP_FIXED));
}

// All but that message with which the listener itself is handed over: nobody hears of it before.
void AddSocketCalls(Rules& rules) {
  for (const int call : kSendCalls)
    if (IsOfSocketsAlone(call) && call != SYS_sendmsg) rules.HandOver(call);
  for (const int call : kReceiveCalls)
    if (IsOfSocketsAlone(call)) rules.HandOver(call);
  constexpr u64 kSign = u64{1} << 63;
  rules.HandOver(SYS_sendmsg, SCMP_A0(SCMP_CMP_MASKED_EQ, kUnheard, 0));
  rules.HandOver(SYS_sendmsg, SCMP_A0(SCMP_CMP_MASKED_EQ, kSign, kSign));
}

Result<std::vector<sock_filter>> BuildProgram(HandedOver what) {
  const Extent extent = what.extent;
  Rules rules;
  AddVfioCommands(rules, SYS_ioctl, what.ioctls);
  AddSizedCommands(rules, extent == Extent::kAll);
  for (unsigned whence = 0; whence <= SEEK_MAX; ++whence)
    rules.HandOver(SYS_lseek, SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffff, whence));
  AddTransfers(rules, extent);
  rules.HandOver(SYS_mmap, SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0));
  if (extent == Extent::kAll) {
    for (const unsigned command : kRegularFileCommands)
      rules.HandOver(SYS_fcntl, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, command));
    for (const unsigned command : kRegularFileIoctls)
      rules.HandOver(SYS_ioctl, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, command));
    for (const int call : kRegularFileCalls) rules.HandOver(call);
    for (const int call : kCopyCalls) rules.HandOver(call);
  }
  if (what.memory) AddMemoryCalls(rules);
  if (what.netlink) AddSocketCalls(rules);
  // The rest of what 32-bit programs call is left to FUSE.
  Rules of_32_bit;
  of_32_bit.Become32Bit();
  AddVfioCommands(of_32_bit, SCMP_SYS(ioctl), what.ioctls);
  rules.Join(std::move(of_32_bit));
  return rules.Build();
}

// Of a call on a socket.
bool WaitsForNothing(const tracer::SystemCall& call) {
  const bool of_one_header = call.number == SYS_sendmsg || call.number == SYS_recvmsg;
  return (call.arguments[of_one_header ? 2 : 3] & MSG_DONTWAIT) != 0;
}

Result<int> Install(HandedOver what, unsigned flags) {
  std::vector<sock_filter> program = TRY(BuildProgram(what));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  const auto listener = static_cast<int>(::syscall(
      SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &filter));
  if (listener >= 0) return listener;
  return Fail(errno, "the seccomp filter was refused: " + ErrnoName(errno) +
                         (errno == EBUSY ? "; is this already inside vfiolab run?" : ""));
}

}  // namespace

HandedOver ReadWantedCalls(const std::string& tree) {
  std::ifstream file(tree + "/" + kWantedCalls);
  HandedOver wanted;
  for (std::string word; file >> word;) {
    wanted.memory |= word == kWantedMemory;
    wanted.ioctls |= word == kWantedIoctls;
    wanted.netlink |= word == kWantedNetlink;
  }
  return wanted;
}

tracer::Restart RestartOf(HandedOver what, const tracer::SystemCall& call) {
  using enum tracer::Restart;
  const auto is_one_of = [&](const auto& calls) {
    return std::ranges::count(calls, call.number) != 0;
  };
  const auto command = static_cast<unsigned>(call.arguments[1]);
  const bool all = what.extent == Extent::kAll;
  switch (call.number) {
    case SYS_mmap:
    case SYS_lseek:
    case SYS_munmap:
    case SYS_mremap:
    case SYS_madvise:
      return kYes;
    case SYS_ioctl:
      if (std::ranges::count(kReturningDescriptors, command) != 0 || command == ~0u) return kYes;
      if (all && std::ranges::count(kRegularFileIoctls, command) != 0) return kYes;
      if (_IOC_TYPE(command) == VFIO_TYPE && what.ioctls) return kYes;
      if (_IOC_SIZE(command) == 0) return kNo;
      return _IOC_TYPE(command) == VFIO_TYPE ? kYes : all ? kUnlessItCanBlock : kNo;
    case SYS_preadv2:
    case SYS_pwritev2:
      return all || call.arguments[3] != ~u64{0} ? kUnlessItCanBlock : kNo;
    default:
      break;
  }
  if (what.netlink && IsOfSocketsAlone(static_cast<int>(call.number)))
    return WaitsForNothing(call) ? kYes : kUnlessItCanBlock;
  if (is_one_of(Transfer::kAtOffset)) return kUnlessItCanBlock;
  if (is_one_of(Transfer::kAtPosition))
    return all || call.arguments[2] == 0 ? kUnlessItCanBlock : kNo;
  const bool of_regular_files =
      is_one_of(kRegularFileCalls) ||
      (call.number == SYS_fcntl && std::ranges::count(kRegularFileCommands, command) != 0);
  // Others of kCopyCalls may wait, for either descriptor.
  return all && (of_regular_files || call.number == SYS_copy_file_range) ? kYes : kNo;
}

Result<UniqueFd> InstallFilter(HandedOver what) {
  auto listener = Install(what, kWaitKillable);
  if (!listener && listener.error().code == EACCES) {
    // Without CAP_SYS_ADMIN the kernel wants a promise that nobody gains privileges later.
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    listener = Install(what, kWaitKillable);
  }
  // An older kernel: a signal may end a call that has been made, and it must not be made again.
  if (!listener && listener.error().code == EINVAL) {
    if (what.extent == Extent::kAll)
      fmt::print(stderr, "vfiolab: --exact does nothing: it takes Linux 5.19\n");
    listener = Install({.ioctls = what.ioctls}, 0);
  }
  if (!listener) return Failure{std::move(listener).error()};
  return UniqueFd(*listener);
}

}  // namespace vfiolab::launcher
