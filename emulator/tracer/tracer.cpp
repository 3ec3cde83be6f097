#include "tracer/tracer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "base/trace.hpp"
#include "tracer/traced_thread.hpp"

namespace vfiolab::tracer {
namespace {

constexpr int kEventStop = 128;  // PTRACE_EVENT_STOP, which not every C library has

bool StopsProcess(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

// SIGSEGV in place of the signal that the thread has stopped at.
int TurnIntoSegfault(pid_t tid, u64 address) {
  siginfo_t info{};
  info.si_signo = SIGSEGV;
  info.si_code = SEGV_MAPERR;
  info.si_addr = reinterpret_cast<void*>(address);
  ::ptrace(PTRACE_SETSIGINFO, tid, nullptr, &info);
  return SIGSEGV;
}

}  // namespace

Result<std::unique_ptr<Tracer>> Tracer::Open(const std::string& tree, RestartOf restart_of) {
  return std::unique_ptr<Tracer>(new Tracer(TRY(DeviceAccess::Open(tree)), std::move(restart_of)));
}

bool Tracer::HasEndedCall(pid_t tid) const {
  const auto call = EndedCall(tid);
  const Restart restart = call ? restart_of_(*call) : Restart::kNo;
  if (restart != Restart::kUnlessItCanBlock) return restart == Restart::kYes;
  const auto descriptor = static_cast<int>(call->arguments[0]);
  return access_.Owns(tid, descriptor) || !CanBlock(tid, descriptor);
}

void Tracer::Forget(pid_t tid) {
  threads_.erase(tid);
  signals_.Forget(tid);
  mappings_.Forget(tid);
}

Result<> Tracer::Seize(pid_t process) {
  const long options =
      HeldSignals::Options() |
      static_cast<long>(PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                        PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
  if (::ptrace(PTRACE_SEIZE, process, nullptr, options) == 0) return {};
  return Fail(errno, fmt::format("process {} cannot be traced: {}", process, ErrnoName(errno)));
}

ThreadFiles& Tracer::FilesOf(pid_t tid) {
  constexpr std::size_t kMost = 128;  // descriptors are limited, threads hardly
  if (threads_.size() >= kMost && !threads_.contains(tid)) threads_.clear();
  ThreadFiles& files = threads_[tid];
  if (!files.maps) {
    files.maps.Reset(::open(fmt::format("/proc/{}/maps", tid).c_str(), O_RDONLY | O_CLOEXEC));
    files.memory.Reset(::open(fmt::format("/proc/{}/mem", tid).c_str(), O_RDONLY | O_CLOEXEC));
  }
  return files;
}

void Tracer::Continue(pid_t tid, int signal) const {
  const bool in_call = signals_.Has(tid) || mappings_.Has(tid);
  ::ptrace(in_call ? PTRACE_SYSCALL : PTRACE_CONT, tid, nullptr, static_cast<long>(signal));
}

int Tracer::OnBusError(pid_t tid) {
  siginfo_t info{};
  if (::ptrace(PTRACE_GETSIGINFO, tid, nullptr, &info) != 0 || info.si_code != BUS_ADRERR)
    return SIGBUS;
  const auto fault = reinterpret_cast<u64>(info.si_addr);
  TracedThread thread(tid, FilesOf(tid), access_);
  if (!thread.IsDevice(fault)) return SIGBUS;
  auto done = thread.FetchRegisters();
  if (done) {
    done = mmio::Execute(thread.Code(), fault, thread);
    thread.StoreRegisters().IgnoreError();  // a thread that has been killed needs none
  }
  if (done) return 0;
  if (thread.segfault_at() != 0) return TurnIntoSegfault(tid, thread.segfault_at());
  if (done.error().code == ENOTSUP)
    fmt::print(
        stderr,
        "vfiolab: thread {} gets SIGBUS at the register at {:#x}: vfiolab does not know {}\n", tid,
        fault, done.error().reason);
  return SIGBUS;
}

void Tracer::Take(pid_t tid, int status) {
  if (!WIFSTOPPED(status)) {
    Forget(tid);
    return;
  }
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  if (event == kEventStop && StopsProcess(signal)) {
    ::ptrace(PTRACE_LISTEN, tid, nullptr, nullptr);
    return;
  }
  if (event == PTRACE_EVENT_EXEC) {
    // Another memory; and if it was not the first thread, it now has the number of that.
    unsigned long former = 0;
    ::ptrace(PTRACE_GETEVENTMSG, tid, nullptr, &former);
    Forget(tid);
    Forget(static_cast<pid_t>(former));
  }
  Continue(tid, event != 0 ? 0 : OnSignal(tid, signal));
}

int Tracer::OnSignal(pid_t tid, int signal) {
  if (HeldSignals::IsOfCall(signal)) {
    mappings_.OnCall(tid);
    return signals_.OnCall(tid);
  }
  if (mappings_.Begin(tid)) return 0;
  signals_.OnDelivery(tid, signal);
  if (signal == SIGBUS) signal = OnBusError(tid);
  if (signal == 0) return 0;
  const bool holds = !signals_.Has(tid) && HasEndedCall(tid) && signals_.Hold(tid);
  return holds ? 0 : signal;
}

}  // namespace vfiolab::tracer
