#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "base/trace.hpp"
#include "launcher/child.hpp"
#include "launcher/commands.hpp"
#include "launcher/emulation.hpp"
#include "launcher/in_process.hpp"
#include "launcher/load.hpp"
#include "launcher/session.hpp"
#include "launcher/view.hpp"

namespace vfiolab::launcher {
namespace {

int StatusOf(const Error& error) {
  if (!error.reason.starts_with("cannot run ")) return kCannotStart;
  return error.code == ENOENT ? 127 : 126;
}

int RunInSession(const RunOptions& options) {
  const auto mount_point = FindSession(options.session);
  if (!mount_point) return Complain(mount_point.error());
  Child::PrepareParent();
  if (auto entered = EnterPrivateNamespace(); !entered) return Complain(entered.error());
  auto child = Child::Fork(options.command);
  if (!child) return Complain(child.error());
  const auto started = child->Start(
      *mount_point, {.trap = options.trap, .exact = options.exact},
      [&](UniqueFd listener) { return JoinSession(options.session, std::move(listener)); });
  if (!started) return Complain(started.error(), StatusOf(started.error()));
  return child->WaitForExit();
}

// Without FUSE, or a view of its own, the machine can still live in the client's process; not where
// something was asked for that takes these.
bool CanFallBack(const RunOptions& options) { return !options.cuse && !options.exact; }

int FallBack(const RunOptions& options, const std::string& why) {
  fmt::print(stderr, "vfiolab: {}: the machine lives in the program's own process (--in-process)\n",
             why);
  return RunInProcess(options);
}

int RunAlone(const RunOptions& options) {
  const auto spec = LoadOrComplain(options.topology);
  if (!spec) return kBadTopology;
  if (::access("/dev/fuse", R_OK | W_OK) != 0 && CanFallBack(options))
    return FallBack(options, fmt::format("/dev/fuse cannot be opened ({})", ErrnoName(errno)));
  if (auto entered = EnterPrivateNamespace(); !entered)
    return CanFallBack(options) ? FallBack(options, entered.error().reason)
                                : Complain(entered.error());
  Child::PrepareParent();
  const auto staging = StagingDirectory();
  if (!staging) return Complain(staging.error());
  auto child = Child::Fork(options.command);
  if (!child) return Complain(child.error());
  // Never destroyed: a thread may be inside a dead client's memory.
  auto& emulation = *new Emulation(*spec);
  if (!emulation.error().empty()) {
    fmt::print(stderr, "{}\n", emulation.error());
    return kBadTopology;
  }
  if (!options.trace.empty())
    if (auto traced = emulation.TraceTo(options.trace); !traced) return Complain(traced.error());
  if (auto served = emulation.Serve(*staging, {.allow_other = ::geteuid() == 0}, options.cuse);
      !served)
    return Complain(served.error());
  const auto started =
      child->Start(*staging, {.hide_tree = true, .trap = options.trap, .exact = options.exact},
                   [&](UniqueFd listener) {
                     emulation.notifier().Add(std::move(listener));
                     return Result<>{};
                   });
  const int status =
      started ? child->WaitForExit() : Complain(started.error(), StatusOf(started.error()));
  emulation.Stop();
  return status;
}

}  // namespace

int Run(const RunOptions& options) {
  const int status = options.in_process        ? RunInProcess(options)
                     : options.session.empty() ? RunAlone(options)
                                               : RunInSession(options);
  std::fflush(nullptr);
  // A thread may still be inside a dead client's memory; nothing waits for it.
  ::_exit(status);
}

}  // namespace vfiolab::launcher
