#include "play.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <set>
#include <sstream>

#include "client.hpp"
#include "support/descriptor_passing.hpp"

namespace player {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr int kFirstSocket = 700;  // out of the way of the client's own descriptors
constexpr std::size_t kMessage = 160 * 1024;

void SendText(int socket, std::string_view text) {
  [[maybe_unused]] const ssize_t sent = send(socket, text.data(), text.size(), MSG_NOSIGNAL);
}

struct Pair {
  int player = -1;  // the player's end of the control socket
  int client = -1;  // the client's
};
using Pairs = std::map<std::string, Pair>;

// What a client process does until it is told to go.
class Worker {
 public:
  Worker(const Machine& machine, const Pairs& pairs, int socket, Client client)
      : machine_(machine), pairs_(pairs), socket_(socket), client_(std::move(client)) {}

  [[noreturn]] void Serve() {
    std::string message(kMessage, '\0');
    while (true) {
      const ssize_t size = recv(socket_, message.data(), message.size(), 0);
      if (size <= 0) _exit(0);
      const Line line =
          ParseLine(std::string_view(message).substr(0, static_cast<std::size_t>(size)));
      SendText(socket_, Act(line));
    }
  }

 private:
  std::string Act(const Line& line) {
    const auto& words = line.arguments;
    if (line.operation == "fork" && words.size() == 1) return Fork(words[0]);
    if (line.operation == "exec") return Exec();
    // The player relays what is passed: pass F P F2 is told to both.
    if (line.operation == "pass" && words.size() == 3) {
      const int fd = client_.Descriptor(words[0]);
      if (fd < 0) return "nonsense";
      const Device* device = client_.DeviceOf(words[0]);
      SendText(socket_, "pass " + (device == nullptr ? std::string() : device->address));
      SendDescriptor(socket_, fd);
      return "ok";
    }
    if (line.operation == "receive") {
      const int fd = ReceiveDescriptor(socket_, 0);
      client_.Keep(words.at(0), fd, words.size() > 1 ? machine_.FindByAddress(words[1]) : nullptr);
      return "ok";
    }
    return client_.Do(line);
  }

  std::string Fork(const std::string& name) {
    const auto pair = pairs_.find(name);
    if (pair == pairs_.end()) return "nonsense";
    const pid_t child = fork();
    if (child != 0) {
      // Nobody but the child holds its end, or its death would not be seen.
      close(pair->second.client);
      return "pid " + std::to_string(child);
    }
    close(socket_);
    socket_ = pair->second.client;
    Serve();
  }

  std::string Exec() {
    fcntl(socket_, F_SETFD, 0);
    std::vector<std::string> words{"player", "--resume", std::to_string(socket_), machine_.path()};
    for (std::string& name : client_.Names()) words.push_back(std::move(name));
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    execv("/proc/self/exe", argv.data());
    return ErrnoName(errno);
  }

  const Machine& machine_;
  const Pairs& pairs_;
  int socket_;
  Client client_;
};

class Player {
 public:
  Player(const Machine& machine, const std::string& trace) : machine_(machine), trace_(trace) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    PreparePairs();
  }
  ~Player() {
    for (const auto& [name, pid] : processes_) kill(pid, SIGKILL);
    for (const auto& [name, pair] : pairs_) {
      close(pair.player);
      close(pair.client);
    }
    while (waitpid(-1, nullptr, 0) > 0) {
    }
  }
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  std::string Run() {
    Start();
    std::string out, text;
    std::istringstream lines(trace_);
    while (std::getline(lines, text)) {
      const Line line = ParseLine(text);
      out += line.text;
      if (line.kind == Line::Kind::kOperation) {
        const std::string result = Do(line);
        out += " -> " + result;
        if (result == "hang") return out + "\n";
      }
      out += "\n";
    }
    return out;
  }

 private:
  // Every process's socket is made beforehand, so that children have theirs from their parents.
  void PreparePairs() {
    std::istringstream lines(trace_);
    std::vector<std::string> names{"main"};
    for (std::string text; std::getline(lines, text);) {
      const Line line = ParseLine(text);
      if (line.operation == "fork" && line.arguments.size() == 1 && names.size() < 16)
        names.push_back(line.arguments[0]);
    }
    for (const std::string& name : names) {
      if (pairs_.contains(name)) continue;
      int ends[2];
      socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
      pairs_[name] = {fcntl(ends[0], F_DUPFD_CLOEXEC, kFirstSocket),
                      fcntl(ends[1], F_DUPFD_CLOEXEC, kFirstSocket)};
      close(ends[0]);
      close(ends[1]);
    }
  }

  void Start() {
    const pid_t child = fork();
    if (child == 0) {
      for (const auto& [name, pair] : pairs_) close(pair.player);
      Worker(machine_, pairs_, pairs_["main"].client, Client(machine_)).Serve();
    }
    processes_["main"] = child;
    for (auto& [name, pair] : pairs_) {
      close(pair.client);
      pair.client = -1;
    }
  }

  std::string Do(const Line& line) {
    const auto& words = line.arguments;
    if (line.operation == "finish" && !line.later)
      return words.size() == 1 ? Finish(words[0]) : "nonsense";
    if (!processes_.contains(line.process) || late_.contains(line.process)) return "nonsense";
    if (line.later) return Begin(line);
    if (line.operation == "exit") return End(line.process, SIGTERM);
    if (line.operation == "kill") return words.size() == 1 ? End(words[0], SIGKILL) : "nonsense";
    if (line.operation == "pass")
      return words.size() == 3 && processes_.contains(words[1]) && !late_.contains(words[1])
                 ? Pass(line)
                 : "nonsense";
    if (line.operation == "fork" && (words.size() != 1 || started_.contains(words[0])))
      return "nonsense";
    std::string result = Ask(line.process, line.text);
    if (!result.starts_with("pid ")) return result;
    started_.insert(words[0]);
    processes_[words[0]] = std::stoi(result.substr(4));
    return "ok";
  }

  // What the player has a part in cannot be done later.
  std::string Begin(const Line& line) {
    static const std::set<std::string> kPlayers{"fork", "exec", "exit", "kill", "pass", "finish"};
    if (line.operation.empty() || kPlayers.contains(line.operation)) return "nonsense";
    SendText(pairs_[line.process].player, line.text);
    late_.insert(line.process);
    return "ok";
  }

  std::string Finish(const std::string& process) {
    if (!late_.contains(process)) return "nonsense";
    const std::string result = Answer(process);
    if (result != "hang") late_.erase(process);
    return result;
  }

  std::string Ask(const std::string& process, const std::string& text) {
    SendText(pairs_[process].player, text);
    return Answer(process);
  }

  std::string Answer(const std::string& process) {
    const int socket = pairs_[process].player;
    pollfd ready{socket, POLLIN, 0};
    if (poll(&ready, 1, kPatienceMs) == 0) return "hang";
    std::string message(kMessage, '\0');
    const ssize_t size = recv(socket, message.data(), message.size(), 0);
    if (size > 0) return message.substr(0, static_cast<std::size_t>(size));
    return "died";
  }

  std::string Pass(const Line& line) {
    const std::string& receiver = line.arguments[1];
    if (receiver == line.process) return "nonsense";
    const std::string device = Ask(line.process, line.text);
    if (!device.starts_with("pass ")) return device;
    const int fd = ReceiveDescriptor(pairs_[line.process].player, 0);
    const std::string sent = Answer(line.process);
    if (sent != "ok") return sent;
    SendText(pairs_[receiver].player, "receive " + line.arguments[2] + " " + device.substr(5));
    SendDescriptor(pairs_[receiver].player, fd);
    close(fd);
    return Answer(receiver);
  }

  // By the socket's end the process ends itself; nothing of it is left when this returns.
  std::string End(const std::string& name, int signal) {
    const auto process = processes_.find(name);
    if (process == processes_.end()) return "nonsense";
    const pid_t pid = process->second;
    if (signal == SIGKILL)
      kill(pid, SIGKILL);
    else
      shutdown(pairs_[name].player, SHUT_RDWR);
    processes_.erase(process);
    late_.erase(name);
    // Its parent does not wait for it; what it held is given back before it can be seen as dead.
    siginfo_t info{};
    for (int i = 0; i < kPatienceMs; ++i) {
      if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) == 0) return "ok";
      char state = StateOf(pid);
      if (state == 'Z' || state == '\0') return "ok";
      usleep(1000);
    }
    return "hang";
  }

  static char StateOf(pid_t pid) {
    std::FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "re");
    if (file == nullptr) return '\0';
    char line[512] = {};
    const bool read = std::fgets(line, sizeof line, file) != nullptr;
    std::fclose(file);
    const char* at = read ? std::strrchr(line, ')') : nullptr;
    return at != nullptr ? at[2] : '\0';
  }

  const Machine& machine_;
  const std::string& trace_;
  Pairs pairs_;
  std::map<std::string, pid_t> processes_;
  std::set<std::string> started_;
  std::set<std::string> late_;  // processes whose operation nobody has waited for
};

}  // namespace

std::string Play(const Machine& machine, const std::string& trace) {
  return Player(machine, trace).Run();
}

int Resume(int argc, char** argv) {
  static Machine machine;
  if (argv[3][0] != '\0') machine.Load(argv[3]);
  const int socket = std::atoi(argv[2]);
  fcntl(socket, F_SETFD, FD_CLOEXEC);
  Client client(machine);
  for (int i = 4; i < argc; ++i) client.Remember(argv[i]);
  SendText(socket, "ok");
  static const Pairs none;
  Worker(machine, none, socket, std::move(client)).Serve();
}

}  // namespace player
