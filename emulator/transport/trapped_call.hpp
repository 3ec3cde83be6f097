// A system call of a client that the launcher's seccomp filter has stopped.
#pragma once
#include <linux/seccomp.h>
#include <sys/types.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/unique_fd.hpp"
#include "netlink/socket_call.hpp"
#include "process/moved_mapping.hpp"
#include "process/turn.hpp"

namespace vfiolab {

// Answered once, whoever comes first; from any thread.
class TrappedCall final : public CutOff {
 public:
  // `listener` is where it came from, and stays open as long as `keep`.
  TrappedCall(int listener, std::shared_ptr<const void> keep, const seccomp_notif& call)
      : listener_(listener), keep_(std::move(keep)), call_(call) {}

  // As 64-bit programs number it.
  int number() const;
  bool is_32_bit() const;
  pid_t tid() const { return static_cast<pid_t>(call_.pid); }
  u64 argument(unsigned i) const { return call_.data.args[i]; }
  // Of an int or unsigned: the kernel does not look at the rest of the register.
  u32 argument32(unsigned i) const { return static_cast<u32>(argument(i)); }
  // Of one that sends or receives.
  SocketCall AsSocketCall() const;
  // The caller's descriptor that the call is about; of a copy, the one that is read.
  int descriptor() const;
  // The other one of a copy between descriptors.
  std::optional<int> target() const;
  // The one of the two that has turned out to be ours.
  int found() const { return found_; }
  void set_found(int descriptor) { found_ = descriptor; }
  // Whether one was opened for what the call does: the kernel asks that before it asks the file.
  bool OpenedFor(int descriptor, bool reads, bool writes) const;
  // Whether the caller still waits.
  bool waits() const;

  // The kernel goes on with the call as if it had not been trapped.
  void Continue() { Respond(0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE); }
  void Return(long value) { Respond(value, 0, 0); }
  // The kernel makes it again; the caller's tracer is on the way to change it
  // (process/moved_mapping.hpp).
  void MakeAgain() { FailWith(kMadeAgain); }
  void FailWith(int code) { Respond(0, -code, 0); }
  void OnCutOff() override { FailWith(EFAULT); }
  // Installs `fd` in the caller as the result of the call. Our copy is closed before the caller
  // goes on: when it closes its own, nothing must keep the file open.
  void ReturnDescriptor(UniqueFd fd, int flags);

 private:
  void Respond(long value, int error, u32 flags);

  int listener_;
  std::shared_ptr<const void> keep_;
  seccomp_notif call_;
  int found_ = -1;
  std::atomic<bool> answered_{false};
};

}  // namespace vfiolab
