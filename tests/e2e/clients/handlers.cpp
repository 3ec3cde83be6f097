// handlers TEST: calls on the edu device that handlers of signals make, and children that the C
// library knows nothing of.
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <functional>
#include <map>
#include <thread>

#include "e2e/clients/client.hpp"

namespace {

Device* device;
volatile sig_atomic_t handled, failed;

bool IsEdu() {
  uint32_t id = 0;
  vfio_group_status status{};
  status.argsz = sizeof status;
  return pread(device->fd, &id, sizeof id, off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40) == 4 &&
         id == 0x11e81234 && ioctl(device->group, VFIO_GROUP_GET_STATUS, &status) == 0 &&
         (status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET) != 0;
}

void Ask(int) {
  handled = handled + 1;
  if (!IsEdu()) failed = failed + 1;
}

void SetAlarm(int microseconds, int again) {
  const itimerval timer{{0, again}, {0, microseconds}};
  setitimer(ITIMER_REAL, &timer, nullptr);
}

void Handle(int signal, int flags = SA_RESTART) {
  struct sigaction action {};
  action.sa_handler = Ask;
  action.sa_flags = flags;
  Require(sigaction(signal, &action, nullptr) == 0, "sigaction");
  handled = 0;
  failed = 0;
}

// A timer that comes while calls are made, time and again.
void TestInterrupted() {
  Handle(SIGALRM);
  SetAlarm(200, 200);
  const auto start = Clock::now();
  int calls = 0;
  while (SecondsSince(start) < 1) {
    Expect(IsEdu(), "what the program itself is told");
    ++calls;
  }
  SetAlarm(0, 0);
  Expect(handled > 500 && failed == 0, "what the handler is told");
  Expect(calls > 1000, "the program comes to something");
}

// A call that waits for a while.
void TestWaiting() {
  Handle(SIGALRM);
  SetAlarm(50000, 20000);
  std::thread closer([] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    usleep(300000);
    close(device->fd);
  });
  const int unbind = open("/sys/bus/pci/drivers/vfio-pci/unbind", O_WRONLY);
  Require(write(unbind, kEdu, 12) == 12, "the unbind");
  SetAlarm(0, 0);
  closer.join();
  Expect(handled > 5 && failed <= 1, "the handler has had its answers meanwhile");
}

void TestActions() {
  struct sigaction action {};
  Handle(SIGUSR1, SA_RESTART | SA_RESETHAND);
  Require(sigaction(SIGUSR1, nullptr, &action) == 0, "sigaction");
  Expect(action.sa_handler == Ask && (action.sa_flags & static_cast<int>(SA_RESETHAND)) != 0,
         "what was set is told");
  raise(SIGUSR1);
  Expect(handled == 1 && failed == 0, "the handler runs");
  Require(sigaction(SIGUSR1, nullptr, &action) == 0, "sigaction");
  Expect(action.sa_handler == SIG_DFL, "once");
  Expect(signal(SIGUSR2, Ask) == SIG_DFL && signal(SIGUSR2, SIG_IGN) == Ask, "signal tells, too");
  Expect(raise(SIGUSR2) == 0 && handled == 1, "what is ignored is not handled");
}

// By a system call that no library sees.
void TestRawFork() {
  const pid_t child = static_cast<pid_t>(syscall(SYS_fork));
  if (child == 0) syscall(SYS_exit_group, IsEdu() && OpenNode("vfio") >= 0 ? 0 : 1);
  int status = 0;
  Expect(waitpid(child, &status, 0) == child && status == 0, "the child");
  Expect(IsEdu(), "the parent");
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> tests{{"interrupted", TestInterrupted},
                                                           {"waiting", TestWaiting},
                                                           {"actions", TestActions},
                                                           {"raw-fork", TestRawFork}};
  if (argc < 2 || !tests.contains(argv[1])) return 2;
  device = new Device("1", kEdu);
  tests.at(argv[1])();
  printf("as it should be\n");
  return 0;
}
