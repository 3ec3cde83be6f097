#include "launcher/in_process.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/trace.hpp"
#include "launcher/commands.hpp"
#include "launcher/load.hpp"
#include "process/program.hpp"

namespace vfiolab::launcher {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPreloaded = "libvfiolab-preload.so";

Result<fs::path> FindPreloaded() {
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& place : {own, own / "../lib", own / VFIOLAB_LIBDIR})
    if (fs::exists(place / kPreloaded, error)) return fs::canonical(place / kPreloaded, error);
  return Fail(ENOENT, fmt::format("{} is neither beside {} nor where it is installed", kPreloaded,
                                  own.string()));
}

// A directory as long as this lives.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const char* place = ::getenv("TMPDIR");
    path_ = fmt::format("{}/vfiolab.XXXXXX", place == nullptr ? "/tmp" : place);
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

pid_t client = 0;

[[noreturn]] void RunClient(const RunOptions& options, const std::string& preloaded,
                            const std::string& mirror) {
  const char* others = ::getenv("LD_PRELOAD");
  // A program with AddressSanitizer insists on being first, where nobody tells it otherwise.
  const char* of_asan = ::getenv("ASAN_OPTIONS");
  const std::string asan = fmt::format("{}verify_asan_link_order=0",
                                       of_asan == nullptr ? "" : of_asan + std::string(":"));
  ::setenv("ASAN_OPTIONS", asan.c_str(), 1);
  const std::string all = others == nullptr ? preloaded : preloaded + ":" + others;
  std::error_code error;
  ::setenv("LD_PRELOAD", all.c_str(), 1);
  ::setenv("VFIOLAB_TOPOLOGY", fs::absolute(options.topology, error).c_str(), 1);
  ::setenv("VFIOLAB_MIRROR", mirror.c_str(), 1);
  if (!options.trace.empty())
    ::setenv("VFIOLAB_TRACE", fs::absolute(options.trace, error).c_str(), 1);
  std::vector<char*> argv;
  for (const std::string& word : options.command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  fmt::print(stderr, "vfiolab: cannot run {}: {}\n", options.command[0], std::strerror(errno));
  ::_exit(errno == ENOENT ? 127 : 126);
}

// What the client leaves behind ends with it, as it has no machine any more.
void EndOrphans() {
  constexpr const char* kChildren = "/proc/thread-self/children";
  for (int status = 0; ::waitpid(-1, &status, WNOHANG) >= 0;) {
    std::ifstream children(kChildren);
    for (pid_t child = 0; children >> child;) ::kill(child, SIGKILL);
    ::waitpid(-1, &status, 0);
  }
}

}  // namespace

int RunInProcess(const RunOptions& options) {
  if (!LoadOrComplain(options.topology)) return kBadTopology;
  const auto preloaded = FindPreloaded();
  if (!preloaded) return Complain(preloaded.error());
  const std::string program = FindProgram(options.command[0]);
  if (IsStatic(program))
    return Complain({ENOEXEC,
                     fmt::format("{} is linked statically: nothing can be put in front of its C "
                                 "library; run it without --in-process",
                                 program),
                     {}},
                    126);
  if (!options.trace.empty()) fs::remove(options.trace);
  const TemporaryDirectory mirror;
  if (mirror.path().empty()) return Complain({errno, "no directory can be made in TMPDIR", {}});
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t launcher = ::getpid();
  client = ::fork();
  if (client == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != launcher) ::_exit(128 + SIGKILL);
    RunClient(options, *preloaded, mirror.path());
  }
  // What the terminal sends it sends to the client as well.
  for (const int signal : {SIGINT, SIGQUIT}) ::signal(signal, SIG_IGN);
  for (const int signal : {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2})
    ::signal(signal, [](int number) { ::kill(client, number); });
  int status = 0;
  for (pid_t ended = 0; ended != client;) ended = ::waitpid(-1, &status, 0);
  EndOrphans();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace vfiolab::launcher
