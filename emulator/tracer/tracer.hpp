// Makes the loads and stores of clients on mapped registers: such an access raises SIGBUS, and who
// traces the client sees that first.
#pragma once
#include <sys/types.h>

#include <map>
#include <memory>
#include <string>

#include "tracer/device_access.hpp"
#include "tracer/traced_call.hpp"

namespace vfiolab::tracer {

// One thread of one process uses it: the kernel lets nobody else handle what it has seized.
class Tracer {
 public:
  // Tells the emulator whose tree is mounted at `tree` that this process traces clients. ENOENT: no
  // device there has registers that can be mapped. EOPNOTSUPP: this kernel, or a missing privilege,
  // lets nothing be mapped. No signal shall end the calls that `is_handed_over` knows.
  static Result<std::unique_ptr<Tracer>> Open(const std::string& tree,
                                              bool (*is_handed_over)(const SystemCall&));

  // From now on what `process` and all that it starts do to registers is done here; they die with
  // this process. EPERM: someone else traces it.
  Result<> Seize(pid_t process);

  // For each status of waitpid(-1, &status, __WALL). A thread that has stopped goes on: with its
  // access made, or with the signal.
  void Take(pid_t tid, int status);

 private:
  Tracer(DeviceAccess access, bool (*is_handed_over)(const SystemCall&))
      : access_(std::move(access)), is_handed_over_(is_handed_over) {}
  // The signal that thread `tid` gets: 0 when its access has been made.
  int OnBusError(pid_t tid);
  void Forget(pid_t tid) { threads_.erase(tid); }
  ThreadFiles& FilesOf(pid_t tid);

  DeviceAccess access_;
  bool (*is_handed_over_)(const SystemCall&);
  std::map<pid_t, ThreadFiles> threads_;  // those that had to do with registers
};

}  // namespace vfiolab::tracer
