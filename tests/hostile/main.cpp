// Clients that do whatever a process can do to VFIO, at random from a seed.
//
//   hostile siege  --world FILE --ledger FILE --seed S [--root DIR] [--clients N] [--seconds N]
//   [--patience N] hostile client --world FILE --ledger FILE --seed S [--root DIR]      one client,
//   alone hostile report --ledger FILE                                         what has been
//   counted
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "hostile/client.hpp"

using namespace hostile;

namespace {

using Options = std::map<std::string, std::string>;

uint64_t Number(const Options& options, const std::string& name, uint64_t otherwise) {
  const auto it = options.find(name);
  return it == options.end() ? otherwise : strtoull(it->second.c_str(), nullptr, 0);
}
std::string Text(const Options& options, const std::string& name) {
  const auto it = options.find(name);
  return it == options.end() ? "" : it->second;
}

[[noreturn]] void BecomeClient(const Options& options, const World& world, Ledger& ledger,
                               const std::vector<std::string>& self) {
  auto& process = *new Process{world,
                               ledger,
                               {},
                               Number(options, "--seed", 1),
                               static_cast<pid_t>(Number(options, "--supervisor", 0)),
                               {-1, -1},
                               self,
                               static_cast<int>(Number(options, "--generation", 0))};
  if (sscanf(Text(options, "--mailbox").c_str(), "%d,%d", &process.mailbox[0],
             &process.mailbox[1]) != 2)
    process.mailbox[0] = process.mailbox[1] = -1;
  process.holdings.Adopt(Text(options, "--adopt"));
  RunClient(process);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  Options options;
  for (int i = 2; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
  prctl(PR_SET_NAME, "hostile");
  Ledger& ledger = Ledger::Open(Text(options, "--ledger"));
  if (verb == "report") {
    ledger.Print();
    return 0;
  }
  const World world = World::Read(Text(options, "--world"), Text(options, "--root"));
  std::vector<std::string> self{argv[0], "client"};
  for (const char* name : {"--world", "--ledger", "--root"}) {
    self.emplace_back(name);
    self.push_back(Text(options, name));
  }
  if (verb == "client") {
    self.insert(self.end(), {"--supervisor", Text(options, "--supervisor"), "--mailbox",
                             Text(options, "--mailbox")});
    BecomeClient(options, world, ledger, self);
  }
  if (verb != "siege") return 2;
  ledger.launchers++;
  return RunSiege({world, self, ledger, Number(options, "--seed", 1),
                   Number(options, "--clients", 16), Number(options, "--seconds", 10),
                   Number(options, "--patience", 60)});
}
