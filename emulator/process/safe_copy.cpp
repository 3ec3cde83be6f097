#include "process/safe_copy.hpp"

#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace vfiolab {
namespace {

thread_local sigjmp_buf* volatile armed = nullptr;
struct sigaction previous;

void OnSigbus(int signal, siginfo_t* info, void* context) {
  if (armed != nullptr) siglongjmp(*armed, 1);
  // Not ours: whoever was there before decides.
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
    return previous.sa_handler(signal);
  std::abort();
}

bool InstallHandler() {
  struct sigaction action {};
  action.sa_sigaction = OnSigbus;
  // The handler leaves by a jump: the signal must not stay blocked.
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  return ::sigaction(SIGBUS, &action, &previous) == 0;
}

}  // namespace

bool SafeCopy(void* to, const void* from, std::size_t count) {
  static const bool installed = InstallHandler();
  if (!installed) return false;
  sigjmp_buf here;
  if (sigsetjmp(here, 0) != 0) {
    armed = nullptr;
    return false;
  }
  armed = &here;
  std::memcpy(to, from, count);
  armed = nullptr;
  return true;
}

}  // namespace vfiolab
