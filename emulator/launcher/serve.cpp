#include <fmt/format.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "launcher/commands.hpp"
#include "launcher/emulation.hpp"
#include "launcher/load.hpp"
#include "launcher/session.hpp"

namespace vfiolab::launcher {
namespace {

void WaitForSignal(const sigset_t& signals) {
  int signal = 0;
  ::sigwait(&signals, &signal);
}

// Built with sanitizers: whether memory has been lost. They would look when the process returns
// from main, which it does not.
bool HasLostMemory() {
#ifdef __SANITIZE_ADDRESS__
  return __lsan_do_recoverable_leak_check() != 0;
#else
  return false;
#endif
}

}  // namespace

int Serve(const ServeOptions& options) {
  const auto spec = LoadOrComplain(options.topology);
  if (!spec) return kBadTopology;
  const std::string name = options.session.empty() ? spec->name : options.session;
  if (auto checked = CheckSessionName(name); !checked) return Complain(checked.error());
  const std::string mount_point = options.mount_point.empty()
                                      ? SessionDirectory() + "/" + name
                                      : std::filesystem::absolute(options.mount_point).string();
  std::error_code error;
  if (options.mount_point.empty()) std::filesystem::create_directories(mount_point, error);
  struct stat found {};
  if (::stat(mount_point.c_str(), &found) != 0 && errno == ENOTCONN)
    ::umount2(mount_point.c_str(), MNT_DETACH);  // left by a server that was killed
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  Emulation emulation(*spec);
  if (!emulation.error().empty()) {
    fmt::print(stderr, "{}\n", emulation.error());
    return kBadTopology;
  }
  if (!options.trace.empty())
    if (auto traced = emulation.TraceTo(options.trace); !traced) return Complain(traced.error());
  if (auto served = emulation.Serve(mount_point, {.allow_other = ::geteuid() == 0}, options.cuse);
      !served)
    return Complain(served.error());
  emulation.fuse().set_on_unmounted([] { ::kill(::getpid(), SIGTERM); });
  {
    auto session = SessionServer::Open(name, mount_point, [&](UniqueFd listener) {
      emulation.notifier().Add(std::move(listener));
    });
    if (!session) {
      emulation.Stop();
      return Complain(session.error());
    }
    fmt::print("serving {} at {}\nanother client: vfiolab run --session {} -- COMMAND\n",
               options.topology, mount_point, name);
    std::fflush(stdout);
    WaitForSignal(signals);
  }
  emulation.Stop();
  if (options.mount_point.empty()) std::filesystem::remove(mount_point, error);
  std::fflush(nullptr);
  ::_exit(HasLostMemory() ? 1 : 0);  // a thread may still be inside a dead client's memory
}

}  // namespace vfiolab::launcher
