#include "hostile/client.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

namespace hostile {
namespace {

constexpr std::size_t kMostThreads = 4;

struct Crew {
  std::atomic<pid_t> tids[kMostThreads];
  std::atomic<Slot*> slots[kMostThreads];
  std::atomic<bool> handled[kMostThreads];  // the last signal
};

thread_local std::atomic<bool>* my_handled = nullptr;

void HandleSignals() {
  struct sigaction action {};
  action.sa_handler = [](int) {
    if (my_handled != nullptr) *my_handled = true;
  };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  action.sa_flags = 0;
  sigaction(SIGUSR2, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGIO, SIG_IGN);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
}

// Interrupts threads in the middle of their calls; half of the calls may start again. None gets
// more signals than it can handle, or it would do nothing else on a busy machine.
void Torment(Process& process, Crew& crew) {
  Dice dice(Mix(process.seed, 1000));
  while (true) {
    usleep(static_cast<useconds_t>(dice.Below(dice.Percent(20) ? 200 : 5000)));
    const std::size_t who = dice.Below(kMostThreads);
    const pid_t tid = crew.tids[who];
    if (tid == 0 || !crew.handled[who].exchange(false)) continue;
    if (Slot* slot = crew.slots[who])
      if (const Kind kind = slot->kind; kind < Kind::kCount)
        process.ledger.interrupted_in[static_cast<std::size_t>(kind)]++;
    if (tgkill(getpid(), tid, dice.Percent(50) ? SIGUSR1 : SIGUSR2) == 0) process.ledger.signals++;
  }
}

void Work(Process& process, Crew& crew, std::size_t number, uint64_t steps) {
  Thread thread(process, number);
  crew.slots[number] = thread.slot();
  crew.handled[number] = true;
  my_handled = &crew.handled[number];
  crew.tids[number] = gettid();
  SetUp(thread);
  for (; steps > 0; steps--) Step(thread);
  crew.tids[number] = 0;
  crew.slots[number] = nullptr;
}

}  // namespace

void RunClient(Process& process) {
  HandleSignals();
  Dice dice(Mix(process.seed, 999));
  auto& crew = *new Crew{};  // the tormentor is never joined
  const std::size_t threads = dice.Percent(30) ? 1 : 1 + dice.Below(kMostThreads);
  const uint64_t steps = 1 + dice.Below(dice.Percent(50) ? 500 : 20'000);
  if (dice.Percent(50)) std::thread([&] { Torment(process, crew); }).detach();
  std::vector<std::thread> others;
  for (std::size_t number = 1; number < threads; number++)
    others.emplace_back([&, number] { Work(process, crew, number, steps); });
  Work(process, crew, 0, steps);
  // Some end while their threads are in the middle of calls.
  const bool orderly = dice.Percent(50);
  for (std::thread& other : others) orderly ? other.join() : other.detach();
  _exit(0);
}

}  // namespace hostile
