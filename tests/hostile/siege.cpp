#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "hostile/client.hpp"

namespace hostile {
namespace {

// Why a thread does not go on, as far as the kernel says.
void Explain(pid_t tid, const char* what, Kind kind, uint64_t seed, uint64_t seconds) {
  const char* name = kind < Kind::kCount ? kKindNames[static_cast<std::size_t>(kind)] : "no call";
  fprintf(stderr, "%s: thread %d in %s for %lu s, seed %lu, state %c\n", what, tid, name, seconds,
          seed, StateOf(tid));
  for (const char* file : {"comm", "wchan", "syscall", "stack"}) {
    std::ifstream text("/proc/" + std::to_string(tid) + "/" + file);
    for (std::string line; std::getline(text, line);)
      fprintf(stderr, "  %s: %s\n", file, line.c_str());
  }
}

void ExplainProcess(pid_t process, uint64_t seconds) {
  const std::string tasks = "/proc/" + std::to_string(process) + "/task";
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(tasks, error))
    Explain(std::stoi(task.path().filename()), "killed but not gone", Kind::kNone, 0, seconds);
}

std::vector<pid_t> Children() {
  std::ifstream list("/proc/self/task/" + std::to_string(getpid()) + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; list >> child;) children.push_back(child);
  return children;
}

class Besieger {
 public:
  explicit Besieger(const Siege& siege)
      : siege_(siege), ledger_(siege.ledger), dice_(siege.seed), clients_(siege.clients, 0) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, mailbox_) != 0) _exit(2);
  }

  int Run() {
    const uint64_t end = NowMs() + siege_.seconds * 1000;
    uint64_t next_kill = 0, next_stop = 0, next_look = 0;
    while (NowMs() < end) {
      StartMissing();
      const uint64_t now = NowMs();
      if (now >= next_kill) KillInACall(), next_kill = now + dice_.Below(600);
      if (now >= next_stop) StopOrContinue(), next_stop = now + dice_.Below(200);
      if (now >= next_look) LookForHung(), next_look = now + 1000;
      Reap();
      usleep(1000);
    }
    LookForHung();
    EndAll();
    return failed_ ? 3 : 0;
  }

 private:
  void StartMissing() {
    for (pid_t& client : clients_) {
      if (client != 0) continue;
      const uint64_t seed = Mix(siege_.seed, started_++);
      client = fork();
      if (client == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        std::vector<std::string> self = siege_.self;
        self.insert(self.end(), {"--supervisor", std::to_string(getppid()), "--mailbox",
                                 std::to_string(mailbox_[0]) + "," + std::to_string(mailbox_[1])});
        auto& process = *new Process{
            siege_.world, ledger_, {}, seed, getppid(), {mailbox_[0], mailbox_[1]}, self};
        RunClient(process);
      }
      if (client > 0) setpgid(client, client);
      if (client < 0) client = 0;
      ledger_.clients++;
    }
  }

  void Reap() {
    int status = 0;
    for (pid_t ended = 0; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
      for (pid_t& client : clients_)
        if (client == ended) client = 0;
      if (stopped_ == ended) stopped_ = 0;
      if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) ledger_.crashed++;
    }
  }

  // Waits a little for a client that is in the middle of the call whose turn it is.
  void KillInACall() {
    const auto wanted = static_cast<Kind>(hunted_++ % kKinds);
    for (const uint64_t end = NowMs() + 3; NowMs() < end;)
      for (Slot& slot : ledger_.slots)
        if (slot.supervisor == getpid() && slot.kind == wanted) {
          const pid_t process = slot.process;
          if (StateOf(process) == 0 || kill(process, SIGKILL) != 0) continue;
          ledger_.killed_in[static_cast<std::size_t>(wanted)]++;
          ledger_.killed++;
          return;
        }
    const pid_t client = clients_[dice_.Below(clients_.size())];
    if (client == 0) return;
    kill(dice_.Percent(70) ? client : -client, SIGKILL);  // alone, or with all its children
    ledger_.killed++;
  }

  void StopOrContinue() {
    if (stopped_ != 0) {
      kill(stopped_, SIGCONT);
      stopped_ = 0;
      return;
    }
    stopped_ = clients_[dice_.Below(clients_.size())];
    if (stopped_ != 0 && kill(stopped_, SIGSTOP) == 0) ledger_.stopped++;
    // What is on its way between clients must not stay there for ever.
    char letter;
    while (dice_.Percent(30) && recv(mailbox_[1], &letter, 1, MSG_DONTWAIT) > 0) {
    }
  }

  void LookForHung() {
    ledger_.FreeDead();
    const uint64_t now = NowMs();
    for (Slot& slot : ledger_.slots) {
      const uint64_t since = slot.since;
      const Kind kind = slot.kind;
      if (slot.tid == 0 || slot.supervisor != getpid() || kind >= Kind::kCount || MayWait(kind) ||
          now < since || now - since < siege_.patience * 1000)
        continue;
      const char state = StateOf(slot.tid);
      if (slot.since != since || slot.kind != kind || state == 0 || state == 'T' || state == 'Z')
        continue;
      if (!told_.insert({slot.tid, since}).second) continue;
      Explain(slot.tid, "hung", kind, slot.seed, (now - since) / 1000);
      ledger_.hung++;
      failed_ = true;
    }
  }

  // Every process that there is, also those whose parents have ended.
  void EndAll() {
    const uint64_t end = NowMs() + siege_.patience * 1000;
    for (auto children = Children(); !children.empty(); children = Children()) {
      for (const pid_t child : children) kill(child, SIGKILL);
      Reap();
      usleep(1000);
      if (NowMs() < end) continue;
      for (const pid_t child : children) {
        ExplainProcess(child, siege_.patience);
        ledger_.undead++;
      }
      failed_ = true;
      break;
    }
    ledger_.FreeDead();
  }

  const Siege& siege_;
  Ledger& ledger_;
  Dice dice_;
  std::vector<pid_t> clients_;
  int mailbox_[2];
  pid_t stopped_ = 0;
  uint64_t started_ = 0, hunted_ = 0;
  std::set<std::pair<pid_t, uint64_t>> told_;
  bool failed_ = false;
};

}  // namespace

int RunSiege(const Siege& siege) { return Besieger(siege).Run(); }

}  // namespace hostile
