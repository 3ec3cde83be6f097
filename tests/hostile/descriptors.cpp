// Steps that do with descriptors what any program may.
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "hostile/thread.hpp"
#include "support/descriptor_passing.hpp"

namespace hostile {
namespace {

Sort AnySort(Dice& dice) { return static_cast<Sort>(dice.Below(5)); }
Sort AnyOfVfio(Dice& dice) { return static_cast<Sort>(dice.Below(3)); }

void Ask(Thread& thread, int fd) {
  Dice& dice = thread.dice;
  char text[64];
  struct stat found {};
  struct statx more {};
  switch (dice.Below(13)) {
    case 0:
      fstat(fd, &found);
      break;
    case 1:
      statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_ALL, &more);
      break;
    case 2:
      lseek(fd, static_cast<off_t>(dice.Boundary()), static_cast<int>(dice.Below(6)));
      break;
    case 3:
      (void)!ftruncate(fd, static_cast<off_t>(dice.Boundary()));
      break;
    case 4:
      fallocate(fd, static_cast<int>(dice.Below(4)), 0, static_cast<off_t>(dice.Boundary()));
      break;
    case 5:
      dice.Percent(50) ? fsync(fd) : fdatasync(fd);
      break;
    case 6:
      flock(fd, LOCK_EX | LOCK_NB);
      break;
    case 7:
      fcntl(fd, F_SETFL, static_cast<int>(dice.Below(2)) * (O_NONBLOCK | O_APPEND));
      break;
    case 8:
      fcntl(fd, F_SETFD, static_cast<int>(dice.Below(2)));
      break;
    case 9:
      fgetxattr(fd, "user.hostile", text, sizeof text);
      break;
    case 10:
      fchmod(fd, 0600);
      break;
    case 11:
      (void)!read(fd, thread.holdings.memory(), dice.Below(300));
      break;
    case 12: {
      off_t offset = static_cast<off_t>(7ull << 40);
      sendfile(thread.holdings.Get(AnySort(dice), dice), fd, &offset, dice.Below(256));
      break;
    }
  }
}

void Wait(Thread& thread, int fd) {
  pollfd state{fd, static_cast<short>(thread.dice.Below(64)), 0};
  thread.Call(Kind::kPoll, [&] { return poll(&state, 1, 0); });
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{EPOLLIN | EPOLLOUT | EPOLLET, {}};
  thread.Call(Kind::kPoll, [&] { return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event); });
  thread.Call(Kind::kPoll, [&] { return epoll_wait(epoll, &event, 1, 0); });
  close(epoll);
}

// Another open of the same inode.
void OpenAgain(Thread& thread, int fd, Sort sort) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const int again = static_cast<int>(
      thread.Call(Kind::kOpen, [&] { return open(path.c_str(), O_RDWR | O_CLOEXEC); }));
  thread.Keep(sort, again);
}

int OtherThing(Dice& dice) {
  int pair[2] = {-1, -1};
  switch (dice.Below(6)) {
    case 0:
      if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) == 0) close(pair[dice.Below(2)]);
      return fcntl(pair[0], F_GETFD) >= 0 ? pair[0] : pair[1];
    case 1: {  // cannot grow: fallocate(), meant for a device, may find it under that number
      const int file = memfd_create("thing", MFD_CLOEXEC | MFD_ALLOW_SEALING);
      fcntl(file, F_ADD_SEALS, F_SEAL_GROW);
      return file;
    }
    case 2:
      return epoll_create1(EPOLL_CLOEXEC);
    case 3:
      return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    case 4:
      return open("/dev/null", O_RDWR | O_CLOEXEC);
    default:
      return open("/", O_PATH | O_CLOEXEC);
  }
}

}  // namespace

void UseDescriptor(Thread& thread) {
  Dice& dice = thread.dice;
  const Sort sort = AnyOfVfio(dice);
  const int fd = thread.holdings.Get(sort, dice);
  if (fd < 3) return;
  switch (dice.Below(8)) {
    case 0:
      Wait(thread, fd);
      break;
    case 1:
      OpenAgain(thread, fd, sort);
      break;
    case 2:
      thread.Keep(sort, fcntl(fd, dice.Percent(50) ? F_DUPFD : F_DUPFD_CLOEXEC, 3));
      break;
    case 3: {  // over another one, which is closed by that
      const int other = thread.holdings.TakeOut(AnySort(dice), dice);
      if (other > 2 && other != fd)
        thread.Keep(sort, static_cast<int>(thread.Call(
                              Kind::kClose, [&] { return dup3(fd, other, O_CLOEXEC); })));
      break;
    }
    case 4: {  // little room for more descriptors, for this call
      rlimit before{};
      getrlimit(RLIMIT_NOFILE, &before);
      const rlimit few{static_cast<rlim_t>(fd) + 1, before.rlim_max};
      const rlimit all{before.rlim_max, before.rlim_max};  // another thread may be here, too
      setrlimit(RLIMIT_NOFILE, &few);
      SetUp(thread);
      setrlimit(RLIMIT_NOFILE, &all);
      break;
    }
    default:
      thread.Call(Kind::kFile, [&] {
        Ask(thread, fd);
        return errno == 0 ? 0 : -1;
      });
      break;
  }
}

void MakeEventfd(Thread& thread) {
  Dice& dice = thread.dice;
  if (dice.Percent(15)) return thread.Keep(Sort::kOther, OtherThing(dice));
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (dice.Percent(20) ? EFD_SEMAPHORE : 0));
  if (dice.Percent(20)) eventfd_write(fd, UINT64_MAX - 1);  // full
  thread.Keep(Sort::kEventfd, fd);
  // Signals some, among them those that unmask an interrupt or set off a write to a BAR.
  for (uint64_t i = dice.Below(4); i > 0; i--)
    eventfd_write(thread.holdings.Get(Sort::kEventfd, dice), 1 + dice.Below(2) * dice.Below(1000));
}

void CloseSomething(Thread& thread) {
  thread.Close(thread.holdings.TakeOut(AnySort(thread.dice), thread.dice));
}

void PassDescriptor(Thread& thread) {
  Dice& dice = thread.dice;
  const auto& mailbox = thread.process.mailbox;
  if (dice.Percent(50)) {
    const Sort sort = AnyOfVfio(dice);
    const int fd = thread.holdings.Get(sort, dice);
    if (fd < 3) return;
    const long sent = thread.Call(Kind::kPass, [&] {
      return SendDescriptor(mailbox[0], fd, static_cast<char>(sort), MSG_DONTWAIT) ? 0 : -1;
    });
    if (sent == 0) thread.process.ledger.passed++;
    return;
  }
  char sort = 0;
  const long received = thread.Call(Kind::kPass, [&] {
    return ReceiveDescriptor(mailbox[1], MSG_DONTWAIT | MSG_CMSG_CLOEXEC, &sort);
  });
  if (received >= 0) thread.Keep(static_cast<Sort>(sort), static_cast<int>(received));
}

}  // namespace hostile
