// edu's registers through a mapping: each load and store has the effect that a bus access has.
//
//   e2e_registers all        instructions, threads, processes, signals, memory off
//   e2e_registers unmapped   they say that they cannot be mapped, and cannot
//   e2e_registers unknown    one instruction that the emulator does not know: dies of SIGBUS
//   e2e_registers left       a process that is left behind while it uses them
//   e2e_registers time N     how long N loads take

#include <immintrin.h>
#include <sys/wait.h>

#include <csetjmp>
#include <csignal>
#include <thread>
#include <vector>

#include "client.hpp"

static constexpr uint32_t kId = 0x010000ed;
static volatile uint8_t* registers;

template <class T>
static volatile T& At(uint32_t offset) {
  return *reinterpret_cast<volatile T*>(registers + offset);
}

static void MapRegisters(const Edu& edu) {
  const vfio_region_info bar = edu.Region(VFIO_PCI_BAR0_REGION_INDEX);
  Require(bar.flags & VFIO_REGION_INFO_FLAG_MMAP, "BAR0 says that it can be mapped");
  void* memory = mmap(nullptr, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, edu.fd,
                      static_cast<off_t>(bar.offset));
  Require(memory != MAP_FAILED, "mmap of BAR0");
  registers = static_cast<volatile uint8_t*>(memory);
}

static void Instructions() {
  Expect(At<uint32_t>(0) == kId, "mov loads");
  At<uint32_t>(4) = 0x12345678;
  Expect(At<uint32_t>(4) == ~0x12345678u, "mov stores");
  Expect(At<uint8_t>(0) == 0 && At<uint16_t>(0) == 0, "a load keeps its width");
  Expect(At<uint64_t>(0) == ~uint64_t{0}, "a load of eight bytes does, too");
  asm volatile(
      "xorl $0xff, %0"
      : "+m"(At<uint32_t>(4))::"cc");  // reads, and writes what the device then turns round
  Expect(At<uint32_t>(4) == ~(~0x12345678u ^ 0xff), "xor is a load and a store");
  uint32_t value = 7;
  asm volatile("lock xaddl %0, %1" : "+r"(value), "+m"(At<uint32_t>(4))::"cc");
  Expect(At<uint32_t>(4) == ~(value + 7), "xadd is a load and a store");
  value = 0xabcd;
  asm volatile("xchgl %0, %1" : "+r"(value), "+m"(At<uint32_t>(4)));
  Expect(At<uint32_t>(4) == ~0xabcdu, "xchg is a load and a store");
  bool equal = false;
  asm volatile("cmpl %2, %1\n sete %0" : "=r"(equal) : "m"(At<uint32_t>(0)), "r"(kId) : "cc");
  Expect(equal, "cmp sets the flags");

  // The DMA registers take eight bytes and keep them.
  const uint64_t words[4] = {0x1111222233334444, 0x5555666677778888, 0x123456789, 0};
  const void* from = words;
  void* to = const_cast<uint8_t*>(registers + Edu::kSource);
  uint64_t count = 3;
  asm volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(count)::"memory");
  uint64_t copy[4] = {};
  from = const_cast<uint8_t*>(registers + Edu::kSource);
  to = copy;
  count = 4;
  asm volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(count)::"memory");
  Expect(memcmp(words, copy, sizeof words) == 0, "rep movs moves both ways");
  const __m128i both =
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(const_cast<uint8_t*>(registers + 0x80)));
  Expect(memcmp(&both, words, sizeof both) == 0, "an SSE register is loaded in two accesses");
  _mm_storeu_si128(reinterpret_cast<__m128i*>(const_cast<uint8_t*>(registers + 0x88)), both);
  Expect(At<uint64_t>(0x90) == words[1], "and stored");
  if (__builtin_cpu_supports("avx")) {
    asm volatile(
        "vmovdqu %1, %%ymm3\n vmovdqu %%ymm3, %0"
        : "=m"(copy)
        : "m"(*reinterpret_cast<const uint64_t(*)[4]>(const_cast<uint8_t*>(registers + 0x80)))
        : "xmm3");
    Expect(copy[0] == words[0] && copy[1] == words[0] && copy[2] == words[1], "so with AVX");
  }
}

static void Effects(const Edu& edu) {
  At<uint32_t>(8) = 5;
  for (int i = 0; i < 1000 && (At<uint32_t>(0x20) & 1); i++) usleep(1000);
  Expect(At<uint32_t>(8) == 120, "the device computes what is stored");
  At<uint32_t>(0x60) = 0x10;
  Expect(At<uint32_t>(0x24) == 0x10 && edu.Read(0x24) == 0x10, "a store raises an interrupt");
  At<uint32_t>(0x64) = 0x10;
  Expect(At<uint32_t>(0x24) == 0, "and another takes it back");
}

static void Threads() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; i++)
    threads.emplace_back([] {
      for (int n = 0; n < 100; n++) Expect(At<uint32_t>(0) == kId, "a thread's load");
    });
  for (std::thread& thread : threads) thread.join();
}

static void WaitFor(pid_t child, const char* what) {
  int status = 0;
  Require(waitpid(child, &status, 0) == child, what);
  Expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, what);
}

static void Processes() {
  for (int i = 0; i < 8; i++) {
    const pid_t child = fork();
    if (child == 0) {
      Expect(At<uint32_t>(0) == kId, "a child's load");
      const pid_t grandchild = fork();
      if (grandchild == 0) _exit(At<uint32_t>(0) == kId ? 0 : 1);
      WaitFor(grandchild, "a grandchild's load");
      _exit(0);
    }
    WaitFor(child, "a child that uses the mapping");
  }
  const pid_t started = vfork();
  if (started == 0) {
    execl("/bin/true", "true", nullptr);
    _exit(1);
  }
  WaitFor(started, "vfork and exec");
  Expect(system("exit 0") == 0, "system()");
  Expect(At<uint32_t>(0) == kId, "the parent's load after all that");

  int seen[2];  // that it goes on: once it has ended, nobody is told
  Require(pipe(seen) == 0, "pipe");
  const pid_t stopped = fork();
  if (stopped == 0) {
    raise(SIGSTOP);
    char byte = 0;
    if (read(seen[0], &byte, 1) != 1) _exit(1);
    _exit(At<uint32_t>(0) == kId ? 0 : 1);
  }
  int status = 0;
  Require(waitpid(stopped, &status, WUNTRACED) == stopped, "wait for a stop");
  Expect(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "a process can be stopped");
  kill(stopped, SIGCONT);
  Require(waitpid(stopped, &status, WCONTINUED) == stopped, "wait for its going on");
  Expect(WIFCONTINUED(status), "and goes on");
  Require(write(seen[1], "", 1) == 1, "write");
  WaitFor(stopped, "then it uses the mapping");
}

static sigjmp_buf back;
static volatile uintptr_t faulted;
static volatile int fault_code;
static void OnFault(int, siginfo_t* info, void*) {
  faulted = reinterpret_cast<uintptr_t>(info->si_addr);
  fault_code = info->si_code;
  siglongjmp(back, 1);
}

template <class F>
static bool Faults(F access) {
  if (sigsetjmp(back, 1) != 0) return true;
  access();
  return false;
}

static void Signals(const Edu& edu) {
  static char stack[65536];
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGBUS, &action, nullptr);
  sigaction(SIGSEGV, &action, nullptr);

  // One of the program's own: a file that is too short.
  const int file = memfd_create("short", 0);
  auto* own = static_cast<volatile uint8_t*>(mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file, 0));
  Expect(Faults([&] { (void)own[5]; }), "a SIGBUS of the program's own is its own");
  Expect(faulted == reinterpret_cast<uintptr_t>(own + 5), "with its address");
  Expect(Faults([] { raise(SIGBUS); }), "so is one that it sends");

  const auto load = [] { [[maybe_unused]] const uint32_t value = At<uint32_t>(4); };
  Expect(!Faults(load), "a load reaches the handler not");
  const off_t command = edu.Offset(VFIO_PCI_CONFIG_REGION_INDEX) + 4;
  uint16_t value = 0;
  Require(pwrite(edu.fd, &value, 2, command) == 2, "memory off");
  Expect(Faults(load), "with memory off a load is SIGBUS");
  Expect(faulted == reinterpret_cast<uintptr_t>(registers + 4) && fault_code == BUS_ADRERR,
         "at its address");
  Expect(Faults([] { At<uint32_t>(8) = 1; }), "and a store is");
  value = 6;
  Require(pwrite(edu.fd, &value, 2, command) == 2, "memory on");
  Expect(At<uint32_t>(0) == kId, "with memory on it is none");

  // A string instruction whose other side is not there.
  const void* from = const_cast<uint8_t*>(registers);
  void* to = reinterpret_cast<void*>(0x10);
  uint64_t count = 2;
  Expect(Faults([&] { asm volatile("rep movsl"
                                   : "+S"(from), "+D"(to), "+c"(count)::"memory"); }),
         "movs to nowhere faults");
  Expect(faulted == 0x10 && fault_code == SEGV_MAPERR, "with SIGSEGV");
  signal(SIGBUS, SIG_DFL);
  signal(SIGSEGV, SIG_DFL);
}

static void Unmapped(const Edu& edu) {
  const vfio_region_info bar = edu.Region(VFIO_PCI_BAR0_REGION_INDEX);
  Expect((bar.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0, "BAR0 says that it cannot be mapped");
  void* memory = mmap(nullptr, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, edu.fd,
                      static_cast<off_t>(bar.offset));
  Expect(memory == MAP_FAILED && errno == EINVAL, "mmap of BAR0 is EINVAL");
}

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "all";
  Edu edu;
  if (mode == "unmapped") {
    Unmapped(edu);
    return 0;
  }
  MapRegisters(edu);
  if (mode == "all") {
    Instructions();
    Effects(edu);
    Threads();
    Processes();
    Signals(edu);
  } else if (mode == "unknown") {
    asm volatile("flds %0\n fstp %%st(0)" ::"m"(At<uint32_t>(0)));
  } else if (mode == "left") {
    if (fork() != 0) return 0;
    setsid();
    while (true) Expect(At<uint32_t>(0) == kId, "a load of a process left behind");
  } else if (mode == "time") {
    const int count = argc > 2 ? atoi(argv[2]) : 10000;
    const auto start = Clock::now();
    uint32_t value = 0;
    for (int i = 0; i < count; i++) value = At<uint32_t>(0);
    printf("%.2f us for each of %d loads of a mapped register\n", SecondsSince(start) / count * 1e6,
           count);
    const auto middle = Clock::now();
    for (int i = 0; i < count; i++)
      Require(pread(edu.fd, &value, 4, edu.bar) == 4, "read of a register");
    printf("%.2f us for each of %d calls of pread\n", SecondsSince(middle) / count * 1e6, count);
  }
  return 0;
}
