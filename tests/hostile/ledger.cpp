#include "hostile/ledger.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace hostile {

// Where no address of the process's other memory leads when a bit of it flips, and no round number
// does: clients let devices write wherever they have memory, and give such numbers as pointers.
static void* const kFarAway = reinterpret_cast<void*>(0x2a5f3c7d1000);

Ledger& Ledger::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void* at = MAP_FAILED;
  if (fd >= 0 && ftruncate(fd, sizeof(Ledger)) == 0)
    at = mmap(kFarAway, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
              fd, 0);
  if (at == MAP_FAILED) {
    perror(path.c_str());
    exit(2);
  }
  close(fd);
  return *static_cast<Ledger*>(at);
}

Slot* Ledger::Take(pid_t supervisor, uint64_t seed) {
  const pid_t self = gettid();
  // Who has executed itself goes on in the slot that it had.
  for (Slot& slot : slots)
    if (slot.tid == self) slot.tid = 0;
  for (std::size_t i = 0; i < kSlots; i++) {
    Slot& slot = slots[(static_cast<std::size_t>(self) + i) % kSlots];
    pid_t free = 0;
    if (!slot.tid.compare_exchange_strong(free, self)) continue;
    slot.kind = Kind::kNone;
    slot.process = getpid();
    slot.seed = seed;
    slot.supervisor = supervisor;
    return &slot;
  }
  return nullptr;
}

void Ledger::FreeDead() {
  for (Slot& slot : slots) {
    const pid_t tid = slot.tid;
    if (tid == 0) continue;
    const char state = StateOf(tid);
    if (state != 0 && state != 'Z' && state != 'X') continue;
    slot.supervisor = 0;
    slot.kind = Kind::kNone;
    slot.tid = 0;
  }
}

void Ledger::Print() const {
  constexpr uint64_t kMostBelieved = 1ull << 36;
  uint64_t calls = 0, succeeded = 0, spoilt = 0;
  for (std::size_t kind = 0; kind < kKinds; kind++) {
    uint64_t all = 0;
    std::string line;
    for (std::size_t error = 0; error < kErrnos; error++) {
      const uint64_t count = results[kind][error];
      if (count == 0) continue;
      if (count > kMostBelieved) {
        spoilt++;
        continue;
      }
      all += count;
      if (error == 0) succeeded += count;
      const char* name = error == 0 ? "ok" : strerrorname_np(static_cast<int>(error));
      line += " " + std::string(name ? name : "?") + " " + std::to_string(count);
    }
    calls += all;
    printf("%-15s %10lu killed in %lu:%s\n", kKindNames[kind], all,
           static_cast<unsigned long>(killed_in[kind]), line.c_str());
  }
  const auto say = [](const char* name, uint64_t value) { printf("total %s %lu\n", name, value); };
  say("calls", calls);
  say("succeeded", succeeded);
  say("clients", clients);
  say("killed", killed);
  say("crashed", crashed);
  say("stopped", stopped);
  say("launchers", launchers);
  say("forks", forks);
  say("execs", execs);
  say("signals", signals);
  say("passed", passed);
  say("slow_memory", slow_memory);
  say("cuts", next_cut);
  say("words", next_word);
  say("hung", hung);
  say("undead", undead);
  say("spoilt", spoilt);
}

char StateOf(pid_t tid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", tid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  // As main() names every client, whatever it was executed as.
  if (strstr(text, " (hostile) ") == nullptr) return 0;
  const char* name_end = strrchr(text, ')');
  return name_end != nullptr && name_end[1] == ' ' ? name_end[2] : 0;
}

}  // namespace hostile
