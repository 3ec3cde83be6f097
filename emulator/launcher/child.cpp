#include "launcher/child.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>

#include "base/trace.hpp"
#include "launcher/descriptor_message.hpp"
#include "launcher/filter.hpp"
#include "launcher/view.hpp"
#include "tracer/tracer.hpp"

namespace vfiolab::launcher {
namespace {

// What the keeper gets when the launcher is gone.
const int kLauncherDied = SIGRTMIN;

sigset_t HandledSignals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, kLauncherDied);
  for (const int signal : {SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2})
    ::sigaddset(&set, signal);
  return set;
}

constexpr int kKilled = 128 + SIGKILL;

// What the client waits for, as it travels from the parent.
struct StartOrder {
  char tree[4096] = {};
  bool hide_tree = false;
  bool trap = false;
  bool exact = false;
};

// Why the client could not be started, as it travels to the parent.
struct StartFailure {
  int code = 0;
  char reason[500] = {};
};

[[noreturn]] void Report(int socket, const Error& error) {
  StartFailure failure{error.code, {}};
  std::strncpy(failure.reason, error.reason.c_str(), sizeof failure.reason - 1);
  [[maybe_unused]] const ssize_t sent = ::send(socket, &failure, sizeof failure, MSG_NOSIGNAL);
  ::_exit(127);
}

[[noreturn]] void RunChild(const std::vector<std::string>& command, int socket, int keeper) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  StartOrder order;
  if (::recv(socket, &order, sizeof order, 0) != sizeof order) ::_exit(127);
  // The keeper answers, when it traces this process or knows that it does not.
  HandedOver handed_over;
  if (::send(keeper, &order, sizeof order, MSG_NOSIGNAL) != sizeof order ||
      ::recv(keeper, &handed_over, sizeof handed_over, 0) != sizeof handed_over)
    ::_exit(127);
  if (auto view = BuildView(order.tree, order.hide_tree); !view) Report(socket, view.error());
  const sigset_t handled = HandledSignals();
  ::sigprocmask(SIG_UNBLOCK, &handled, nullptr);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  auto listener = InstallFilter(handed_over);
  if (!listener) Report(socket, listener.error());
  SendDescriptor(socket, listener->get());
  listener->Reset();
  ::execvp(argv[0], argv.data());
  const int code = errno;
  Report(socket, {code, fmt::format("cannot run {}: {}", command[0], std::strerror(code)), {}});
}

std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  DIR* tasks = ::opendir("/proc/self/task");
  while (const dirent* task = tasks != nullptr ? ::readdir(tasks) : nullptr) {
    std::ifstream list(fmt::format("/proc/self/task/{}/children", task->d_name));
    for (pid_t pid = 0; list >> pid;) children.push_back(pid);
  }
  if (tasks != nullptr) ::closedir(tasks);
  return children;
}

// Processes that the client left behind become children of this one, each as soon as its parent is
// gone. Those that are traced tell of more than their end.
void KillLeftovers() {
  do
    for (const pid_t pid : Children()) ::kill(pid, SIGKILL);
  while (::waitpid(-1, nullptr, __WALL) > 0);
}

// Null where nobody wants the client traced, or it cannot be. `what` is handed over if it is.
std::unique_ptr<tracer::Tracer> TraceClient(const StartOrder& order, HandedOver what,
                                            pid_t client) {
  if (!order.trap) return nullptr;
  auto tracer = tracer::Tracer::Open(
      order.tree, [what](const tracer::SystemCall& call) { return RestartOf(what, call); });
  if (tracer && !order.exact && !(*tracer)->is_wanted() && !what.memory) return nullptr;
  const auto seized = tracer ? (*tracer)->Seize(client) : Failure{tracer.error()};
  if (seized) return *std::move(tracer);
  fmt::print(stderr, "vfiolab: registers cannot be mapped{}: {}\n",
             order.exact ? ", and --exact does nothing" : "", seized.error().reason);
  return nullptr;
}

}  // namespace

// A process between the launcher and the client, so that even a launcher that is killed takes all
// its processes with it: a signal at a parent's death reaches only the parent's own child.
void Child::Keep(pid_t launcher, const std::function<void(int keeper)>& run_client) {
  ::prctl(PR_SET_PDEATHSIG, kLauncherDied);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (::getppid() != launcher) ::_exit(kKilled);
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) ::_exit(kKilled);
  const pid_t client = ::fork();
  if (client == 0) {
    ::close(sockets[0]);
    run_client(sockets[1]);
  }
  ::signal(SIGCHLD, SIG_DFL);  // ignored, nobody would tell of what is traced
  // Above all /dev/fuse: a copy of it would keep calls waiting that nobody will answer.
  constexpr int kGate = 3;
  ::dup3(sockets[0], kGate, O_CLOEXEC);
  ::close_range(kGate + 1, ~0u, 0);
  Child kept(client, {});
  StartOrder order;
  if (::recv(kGate, &order, sizeof order, 0) == sizeof order) {
    HandedOver handed_over = ReadWantedCalls(order.tree);
    handed_over.extent = order.exact ? Extent::kAll : Extent::kTraced;
    kept.tracer_ = TraceClient(order, handed_over, client);
    if (kept.tracer_ == nullptr) {
      handed_over.extent = Extent::kUntraced;
      handed_over.memory = false;
    }
    ::send(kGate, &handed_over, sizeof handed_over, MSG_NOSIGNAL);
  }
  ::close(kGate);
  ::_exit(kept.WaitForExit());
}

Child::Child(pid_t pid, UniqueFd socket) : pid_(pid), socket_(std::move(socket)) {}
Child::Child(Child&&) noexcept = default;
Child::~Child() = default;

void Child::PrepareParent() {
  const sigset_t handled = HandledSignals();
  ::sigprocmask(SIG_BLOCK, &handled, nullptr);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Result<Child> Child::Fork(const std::vector<std::string>& command) {
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
    return Fail(errno, "socketpair: " + ErrnoName(errno));
  UniqueFd ours(sockets[0]);
  UniqueFd theirs(sockets[1]);
  const pid_t launcher = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return Fail(errno, "fork: " + ErrnoName(errno));
  if (pid == 0) {
    ours.Reset();
    Keep(launcher, [&](int keeper) { RunChild(command, theirs.get(), keeper); });
  }
  return Child(pid, std::move(ours));
}

Result<> Child::Start(const std::string& tree, StartOptions options,
                      const std::function<Result<>(UniqueFd)>& listener) {
  const UniqueFd ours = std::move(socket_);
  StartOrder order{.hide_tree = options.hide_tree, .trap = options.trap, .exact = options.exact};
  tree.copy(order.tree, sizeof order.tree - 1);
  ::send(ours.get(), &order, sizeof order, MSG_NOSIGNAL);
  // First the listener, then the end of the stream when the command runs, or a failure.
  StartFailure failure;
  auto message = ReceiveDescriptor(ours.get(), BytesOf(failure));
  if (message.descriptor) {
    if (auto taken = listener(std::move(message.descriptor)); !taken) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      return vfiolab::Failure{std::move(taken).error()};
    }
    message = ReceiveDescriptor(ours.get(), BytesOf(failure));
  }
  if (message.size == sizeof failure) {
    ::waitpid(pid_, nullptr, 0);
    return Fail(failure.code, failure.reason);
  }
  return {};
}

int Child::WaitForExit() {
  const sigset_t handled = HandledSignals();
  while (true) {
    int status = 0;
    pid_t ended = 0;
    while ((ended = ::waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
      if (tracer_) tracer_->Take(ended, status);
      if (ended != pid_ || WIFSTOPPED(status)) continue;
      KillLeftovers();
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    siginfo_t info{};
    const int signal = ::sigwaitinfo(&handled, &info);
    if (signal == kLauncherDied) {
      KillLeftovers();
      return kKilled;
    }
    // What the terminal sends it sends to the client as well.
    if (signal > 0 && signal != SIGCHLD && info.si_code != SI_KERNEL) ::kill(pid_, signal);
  }
}

}  // namespace vfiolab::launcher
