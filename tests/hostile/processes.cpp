// Steps that make processes, and the choice among all steps.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "hostile/thread.hpp"

namespace hostile {

void ForkChild(Thread& thread) {
  Process& process = thread.process;
  Dice& dice = thread.dice;
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  const uint64_t seed = dice.Next();
  const bool orphan = dice.Percent(20), waits = dice.Percent(30);
  const pid_t child = static_cast<pid_t>(thread.Call(Kind::kFork, [] { return fork(); }));
  if (child == 0) {
    if (!orphan) prctl(PR_SET_PDEATHSIG, SIGKILL);
    process.seed = seed;
    process.ledger.forks++;
    Thread alone(process, 0);
    if (alone.dice.Percent(20)) ExecuteSelf(alone);
    for (uint64_t steps = alone.dice.Below(100); steps > 0; steps--) Step(alone);
    if (alone.dice.Percent(30)) raise(SIGKILL);
    _exit(0);
  }
  if (child > 0 && waits) waitpid(child, nullptr, 0);
}

void ExecuteSelf(Thread& thread) {
  Process& process = thread.process;
  if (process.generation >= 2) return;
  process.ledger.execs++;
  for (const Sort sort : {Sort::kContainer, Sort::kGroup, Sort::kDevice, Sort::kEventfd})
    if (const int fd = process.holdings.Get(sort, thread.dice); fd > 2 && thread.dice.Percent(80))
      fcntl(fd, F_SETFD, 0);
  std::vector<std::string> words = process.self;
  words.insert(words.end(),
               {"--seed", std::to_string(thread.dice.Next()), "--generation",
                std::to_string(process.generation + 1), "--adopt", process.holdings.List()});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  thread.Call(Kind::kExec, [&] { return execv("/proc/self/exe", arguments.data()); });
}

void Step(Thread& thread) {
  struct Choice {
    unsigned weight;
    void (*step)(Thread&);
  };
  static constexpr Choice kChoices[] = {
      {12, SetUp},         {220, CallValid},    {200, CallMutated},   {150, SweepCuts},
      {80, SweepWords},    {130, AccessRegion}, {20, DriveEdu},       {30, MapRegion},
      {40, UseDescriptor}, {60, MakeEventfd},   {10, CloseSomething}, {10, PassDescriptor},
      {10, ChangeMemory},  {20, AccessSysfs},   {4, ForkChild}};
  static constexpr unsigned kAll = [] {
    unsigned all = 0;
    for (const Choice& choice : kChoices) all += choice.weight;
    return all;
  }();
  // What ends the process or holds it up is rare among thousands of steps.
  if (thread.dice.Below(20'000) == 0) return ExecuteSelf(thread);
  if (thread.dice.Below(20'000) == 0) return CallSlowMemory(thread);
  // With nothing to call there is little to do.
  if (thread.holdings.Latest(Sort::kDevice) < 0 && thread.dice.Percent(15)) return SetUp(thread);
  auto number = static_cast<unsigned>(thread.dice.Below(kAll));
  for (const Choice& choice : kChoices) {
    if (number < choice.weight) return choice.step(thread);
    number -= choice.weight;
  }
}

}  // namespace hostile
