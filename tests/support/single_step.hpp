// A child process that executes one instruction natively: what an emulation is compared with.
#pragma once
#include <elf.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/bytes.hpp"

namespace vfiolab::test {

// A thread's registers and the bytes that it works on.
struct ThreadState {
  user_regs_struct general{};
  std::vector<std::byte> vector;
  std::vector<std::byte> data;
};

class SingleStep {
 public:
  static constexpr std::size_t kCodeSize = 4096, kDataSize = 4096;

  SingleStep() {
    memory_ = static_cast<std::byte*>(::mmap(nullptr, kCodeSize + kDataSize,
                                             PROT_READ | PROT_WRITE | PROT_EXEC,
                                             MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
    child_ = ::fork();
    if (child_ == 0) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      ::raise(SIGSTOP);
      ::_exit(0);
    }
    ::waitpid(child_, nullptr, 0);
    start_ = Get();
  }
  ~SingleStep() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::munmap(memory_, kCodeSize + kDataSize);
  }

  u64 code() const { return reinterpret_cast<u64>(memory_); }
  u64 data() const { return code() + kCodeSize; }
  // The registers of a program that has just begun, to start from.
  const ThreadState& start() const { return start_; }

  // Executes the instruction at `state.general.rip` once. False: it raised a signal.
  bool Step(const std::vector<std::byte>& code, ThreadState& state) {
    std::memcpy(memory_ + (state.general.rip - this->code()), code.data(), code.size());
    std::memcpy(memory_ + kCodeSize, state.data.data(), kDataSize);
    Set(NT_PRSTATUS, &state.general, sizeof state.general);
    Set(NT_X86_XSTATE, state.vector.data(), state.vector.size());
    ::ptrace(PTRACE_SINGLESTEP, child_, nullptr, nullptr);
    int status = 0;
    ::waitpid(child_, &status, 0);
    state = Get();
    return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
  }

 private:
  void Set(int kind, void* data, std::size_t size) {
    iovec part{data, size};
    if (::ptrace(PTRACE_SETREGSET, child_, kind, &part) != 0) std::abort();
  }
  std::size_t Fetch(int kind, void* data, std::size_t size) {
    iovec part{data, size};
    if (::ptrace(PTRACE_GETREGSET, child_, kind, &part) != 0) std::abort();
    return part.iov_len;
  }
  ThreadState Get() {
    ThreadState state;
    Fetch(NT_PRSTATUS, &state.general, sizeof state.general);
    state.vector.resize(16384);
    state.vector.resize(Fetch(NT_X86_XSTATE, state.vector.data(), state.vector.size()));
    state.data.assign(memory_ + kCodeSize, memory_ + kCodeSize + kDataSize);
    return state;
  }

  std::byte* memory_;
  pid_t child_;
  ThreadState start_;
};

}  // namespace vfiolab::test
