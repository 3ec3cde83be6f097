// Whether another process has an eventfd open.
#include "process/eventfd_holder.hpp"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/unique_fd.hpp"

using namespace vfiolab;

namespace {

// A process that does nothing but hold what this one has open when it begins.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0)
      while (true) ::pause();
  }
  ~Sleeper() { End(); }
  void End() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  pid_t pid_;
};

}  // namespace

TEST_CASE("an eventfd has a holder while another process has it open", "[process]") {
  const UniqueFd eventfd(::eventfd(0, EFD_CLOEXEC));
  EventfdHolder holder(eventfd.get());
  CHECK_FALSE(holder.Exists());
  Sleeper first;
  CHECK(holder.Exists());
  CHECK(holder.Exists());
  Sleeper second;
  first.End();
  CHECK(holder.Exists());
  second.End();
  CHECK_FALSE(holder.Exists());
}

TEST_CASE("who has another eventfd is not its holder", "[process]") {
  const UniqueFd other(::eventfd(0, EFD_CLOEXEC));
  Sleeper sleeper;
  const UniqueFd eventfd(::eventfd(0, EFD_CLOEXEC));
  CHECK_FALSE(EventfdHolder(eventfd.get()).Exists());
  CHECK(EventfdHolder(other.get()).Exists());
}
