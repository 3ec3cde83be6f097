// A hostile client process, and who starts, stops and kills 64 of them.
#pragma once
#include "hostile/thread.hpp"

namespace hostile {

// Runs the threads of one client until it has had enough. Its seed makes the same steps again.
[[noreturn]] void RunClient(Process& process);

struct Siege {
  World world;
  std::vector<std::string> self;
  Ledger& ledger;
  uint64_t seed;
  std::size_t clients;
  uint64_t seconds;
  uint64_t patience;  // seconds after which a call hangs
};

// Keeps that many clients at it. 0: nobody hung; 3: a call did, or a client that was killed did not
// go away; it is told on standard error.
int RunSiege(const Siege& siege);

}  // namespace hostile
