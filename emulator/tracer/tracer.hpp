// Makes the loads and stores of clients on mapped registers: such an access raises SIGBUS, and who
// traces the client sees that first.
#pragma once
#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "tracer/device_access.hpp"
#include "tracer/held_signals.hpp"
#include "tracer/moved_mappings.hpp"
#include "tracer/traced_call.hpp"

namespace vfiolab::tracer {

// One thread of one process uses it: the kernel lets nobody else handle what it has seized.
class Tracer {
 public:
  using RestartOf = std::function<Restart(const SystemCall&)>;

  // For clients of the emulator whose tree is mounted at `tree`. It is told that this process makes
  // their accesses to registers, where there are such. ENOENT, EACCES: no tree, or not ours.
  static Result<std::unique_ptr<Tracer>> Open(const std::string& tree, RestartOf restart_of);

  // Whether a device there has registers, or mappings that are moved, and this kernel and its
  // privileges let them be mapped.
  bool is_wanted() const { return access_.is_wanted(); }

  // From now on what `process` and all that it starts do to registers is done here; they die with
  // this process. EPERM: someone else traces it.
  Result<> Seize(pid_t process);

  // For each status of waitpid(-1, &status, __WALL). A thread that has stopped goes on: with its
  // access made, or with the signal.
  void Take(pid_t tid, int status);

 private:
  Tracer(DeviceAccess access, RestartOf restart_of)
      : access_(std::move(access)), restart_of_(std::move(restart_of)) {}
  // Whether a signal has ended a call that is to be made first.
  bool HasEndedCall(pid_t tid) const;
  // What thread `tid`, which has stopped at a signal, goes on with: that, another, or 0.
  int OnSignal(pid_t tid, int signal);
  // The signal that it gets: 0 when its access has been made.
  int OnBusError(pid_t tid);
  // Lets a thread go on, with a signal or 0.
  void Continue(pid_t tid, int signal) const;
  void Forget(pid_t tid);
  ThreadFiles& FilesOf(pid_t tid);

  DeviceAccess access_;
  RestartOf restart_of_;
  HeldSignals signals_;
  MovedMappings mappings_;
  std::map<pid_t, ThreadFiles> threads_;  // those that had to do with registers
};

}  // namespace vfiolab::tracer
