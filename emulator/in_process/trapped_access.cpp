#include "in_process/trapped_access.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "mmio/execute.hpp"
#include "process/fault_signals.hpp"
#include "process/guarded_copy.hpp"

namespace vfiolab::in_process {
namespace {

std::vector<TrapServer*>& Servers() {
  static std::vector<TrapServer*> servers;
  return servers;
}

// The registers of user_regs_struct as a signal frame has them.
struct Place {
  unsigned long long user_regs_struct::*there;
  int here;
};
constexpr Place kPlaces[] = {
    {&user_regs_struct::r15, REG_R15},    {&user_regs_struct::r14, REG_R14},
    {&user_regs_struct::r13, REG_R13},    {&user_regs_struct::r12, REG_R12},
    {&user_regs_struct::rbp, REG_RBP},    {&user_regs_struct::rbx, REG_RBX},
    {&user_regs_struct::r11, REG_R11},    {&user_regs_struct::r10, REG_R10},
    {&user_regs_struct::r9, REG_R9},      {&user_regs_struct::r8, REG_R8},
    {&user_regs_struct::rax, REG_RAX},    {&user_regs_struct::rcx, REG_RCX},
    {&user_regs_struct::rdx, REG_RDX},    {&user_regs_struct::rsi, REG_RSI},
    {&user_regs_struct::rdi, REG_RDI},    {&user_regs_struct::rip, REG_RIP},
    {&user_regs_struct::eflags, REG_EFL}, {&user_regs_struct::rsp, REG_RSP}};

// This thread, interrupted by a fault.
class InterruptedThread final : public mmio::StoppedThread {
 public:
  InterruptedThread(TrapServer& server, ucontext_t& context) : server_(server), context_(context) {
    for (const auto& [there, here] : kPlaces)
      registers_.*there = static_cast<unsigned long long>(context.uc_mcontext.gregs[here]);
  }
  void Resume() {
    for (const auto& [there, here] : kPlaces)
      context_.uc_mcontext.gregs[here] = static_cast<greg_t>(registers_.*there);
  }

  Result<> Load(u64 address, std::span<std::byte> to) override {
    if (const Window* window = TRY(WindowAt(address, to.size()))) {
      if ((window->protection & PROT_READ) == 0) return Fail(EFAULT, "it cannot be read");
      return server_.Load(*window, address, to);
    }
    if (GuardedCopy(to.data(), reinterpret_cast<const void*>(address), to.size())) return {};
    return Fail(EFAULT, fmt::format("nothing is at {:#x}", address));
  }
  Result<> Store(u64 address, std::span<const std::byte> from) override {
    if (const Window* window = TRY(WindowAt(address, from.size()))) {
      if ((window->protection & PROT_WRITE) == 0) return Fail(EFAULT, "it cannot be written");
      return server_.Store(*window, address, from);
    }
    if (GuardedCopy(reinterpret_cast<void*>(address), from.data(), from.size())) return {};
    return Fail(EFAULT, fmt::format("nothing is at {:#x}", address));
  }
  user_regs_struct& registers() override { return registers_; }
  Result<std::vector<std::byte>> VectorRegisters() override {
    const auto* begin = reinterpret_cast<const std::byte*>(context_.uc_mcontext.fpregs);
    return std::vector<std::byte>(begin, begin + VectorSize());
  }
  Result<> SetVectorRegisters(std::span<const std::byte> image) override {
    std::memcpy(context_.uc_mcontext.fpregs, image.data(), image.size());
    return {};
  }

 private:
  // asm/sigcontext.h struct _fpx_sw_bytes: how much of the image there is.
  std::size_t VectorSize() const {
    constexpr std::size_t kLegacy = 512, kSoftwareBytes = 464;
    constexpr u32 kExtended = 0x46505853;  // FP_XSTATE_MAGIC1
    struct {
      u32 magic, extended_size;
      u64 features;
      u32 size;
    } bytes{};
    std::memcpy(&bytes,
                reinterpret_cast<const std::byte*>(context_.uc_mcontext.fpregs) + kSoftwareBytes,
                sizeof bytes);
    return bytes.magic == kExtended ? bytes.size : kLegacy;
  }
  Result<const Window*> WindowAt(u64 address, std::size_t size) const {
    const Window* window = server_.windows().FirstIn(address, address + size - 1);
    if (window == nullptr || !window->traps) return nullptr;
    if (window->first <= address && address + size - 1 <= window->last) return window;
    return Fail(ENOTSUP,
                fmt::format("{} bytes at {:#x} are only in part a device's", size, address));
  }

  TrapServer& server_;
  ucontext_t& context_;
  user_regs_struct registers_{};
};

bool Serve(TrapServer& server, siginfo_t& info, ucontext_t& context) {
  const u64 fault = reinterpret_cast<u64>(info.si_addr);
  InterruptedThread thread(server, context);
  std::array<std::byte, 15> code{};
  const u64 rip = thread.registers().rip;
  std::size_t size = code.size();  // fewer at the end of a mapping
  while (size > 0 && !GuardedCopy(code.data(), reinterpret_cast<const void*>(rip), size)) --size;
  const auto done = mmio::Execute(std::span{code}.first(size), fault, thread);
  thread.Resume();
  if (!done && done.error().code == ENOTSUP)
    fmt::print(stderr, "vfiolab: SIGBUS at the register at {:#x}: vfiolab does not know {}\n",
               fault, done.error().reason);
  // Where nothing answers, as in the kernel.
  if (!done && done.error().code != EFAULT) info.si_signo = SIGBUS, info.si_code = BUS_ADRERR;
  return static_cast<bool>(done);
}

bool OnFault(siginfo_t& info, ucontext_t& context) {
  const u64 fault = reinterpret_cast<u64>(info.si_addr);
  bool served = false;
  for (TrapServer* server : Servers()) {
    const Window* window = nullptr;
    server->InTurn([&] {
      window = server->windows().Find(fault);
      if (window != nullptr && window->traps) served = Serve(*server, info, context);
    });
    if (window != nullptr) return served;
  }
  return false;
}

}  // namespace

Trapping::Trapping(TrapServer& server) : server_(server) {
  ExpectFaults();  // comes first: a copy of our own that meets a register has failed
  AddFaultHandler(OnFault);
  Servers().push_back(&server);
}

Trapping::~Trapping() { std::erase(Servers(), &server_); }

}  // namespace vfiolab::in_process
