// Starts a client inside its view, under the filter, and waits for it.
#pragma once
#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace vfiolab::tracer {
class Tracer;
}

namespace vfiolab::launcher {

class Child {
 public:
  Child(Child&&) noexcept;
  ~Child();

  // Blocks the signals that WaitForExit() handles, so that none is lost; and makes orphans of the
  // client this process's children. Before any thread is started.
  static void PrepareParent();

  // Makes the process that will become the client; it waits. Before any thread is started, too: a
  // copy of a process with threads may find locks taken for ever.
  static Result<Child> Fork(const std::vector<std::string>& command);

  struct StartOptions {
    bool hide_tree = false;  // the client does not see the mount itself
    bool trap = false;       // it is traced, where a device has registers that can be mapped
    bool exact = false;      // it is traced anyway, and hands over all that it can
  };

  // Has it run the command. The client sees the tree mounted at `tree`. `listener` gets the
  // filter's listener; when it fails, so does the start. ENOENT, EACCES: the command cannot be run;
  // else why the view could not be made.
  Result<> Start(const std::string& tree, StartOptions options,
                 const std::function<Result<>(UniqueFd)>& listener);

  // Waits; passes SIGTERM, SIGHUP and the like on. Whatever the client left running is killed.
  // The exit status as a shell gives it: 128 + N after signal N.
  int WaitForExit();

 private:
  Child(pid_t pid, UniqueFd socket);
  [[noreturn]] static void Keep(pid_t launcher, const std::function<void(int)>& run_client);
  pid_t pid_;
  UniqueFd socket_;
  std::unique_ptr<tracer::Tracer> tracer_;  // of the keeper, perhaps
};

}  // namespace vfiolab::launcher
