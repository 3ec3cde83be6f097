// What all clients write down, in memory that they share and that outlives them.
#pragma once
#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>

#include "hostile/kinds.hpp"

namespace hostile {

inline uint64_t NowMs() {
  using std::chrono::steady_clock, std::chrono::milliseconds, std::chrono::duration_cast;
  return static_cast<uint64_t>(
      duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

// The call that one thread is in.
struct Slot {
  std::atomic<pid_t> tid;  // 0: free
  std::atomic<pid_t> process;
  std::atomic<pid_t> supervisor;
  std::atomic<uint64_t> seed;
  std::atomic<Kind> kind;
  std::atomic<uint64_t> since;
};

struct Ledger {
  static constexpr std::size_t kErrnos = 136;
  static constexpr std::size_t kSlots = 1024;

  std::atomic<uint64_t> clients, killed, crashed, stopped, launchers, forks, execs, signals;
  std::atomic<uint64_t> passed, slow_memory, hung, undead;
  std::atomic<uint64_t> next_cut, next_word;  // the next case of the two sweeps
  std::array<std::array<std::atomic<uint64_t>, kErrnos>, kKinds> results;  // errno 0: success
  std::array<std::atomic<uint64_t>, kKinds> killed_in, interrupted_in;
  std::array<Slot, kSlots> slots;

  // Maps the file, which is made when it is not there.
  static Ledger& Open(const std::string& path);

  void Count(Kind kind, long result, int error) {
    const std::size_t index = result >= 0 ? 0 : static_cast<std::size_t>(error);
    results[static_cast<std::size_t>(kind)][index < kErrnos ? index : kErrnos - 1]++;
  }
  // Null when all are taken.
  Slot* Take(pid_t supervisor, uint64_t seed);
  // Slots of threads that are gone become free.
  void FreeDead();

  // How often each kind of call gave each errno, and what became of the clients. Counters that a
  // client has written over, through a wild pointer of its own, are left out and counted.
  void Print() const;
};

// The state of a client's thread as /proc tells it (R, S, D, T, Z ...); 0 when it is gone, though
// its number may be another's now.
char StateOf(pid_t tid);

}  // namespace hostile
