// netlink TEST: what a program sees of generic netlink with the family "VFIO" in it is what it
// would see if the kernel had that family. With /dev/vfio0 of 0000:01:00.0, in April 2011.
#include "e2e/clients/netlink.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <functional>
#include <map>
#include <thread>

namespace {

volatile sig_atomic_t handled;

void Handle(int signal, int flags) {
  struct sigaction action {};
  action.sa_handler = [](int) { handled = handled + 1; };
  action.sa_flags = flags;
  sigaction(signal, &action, nullptr);
  handled = 0;
}
void SetAlarm(int milliseconds, int again = 0) {
  const itimerval timer{{0, again * 1000}, {0, milliseconds * 1000}};
  setitimer(ITIMER_REAL, &timer, nullptr);
}
ssize_t TryReceive(int socket) {
  char bytes[4096];
  return recv(socket, bytes, sizeof bytes, 0);
}

// A socket that has registered for the device, which is open.
struct Listener {
  int device = open("/dev/vfio0", O_RDWR);
  int socket = OpenSocket();
  int family = Resolve(socket, "VFIO");
  Listener() {
    Require(device >= 0, "open of /dev/vfio0");
    Expect(family > GENL_ID_CTRL, "the family is there");
    Register(socket, family);
  }
  // A sleep that is agreed to begins and ends.
  void ExpectSleep(std::future<bool> sleeper) {
    Message suspend = Receive(socket);
    Expect(IsEvent(suspend, family, kPmSuspend), "PM_SUSPEND");
    Agree(socket, family);
    Expect(sleeper.get(), "the machine has slept");
    Message resume = Receive(socket);
    Expect(IsEvent(resume, family, kPmResume), "PM_RESUME");
    Expect(IsEmpty(socket), "no more messages");
  }
};

void TestFamily() {
  const int socket = OpenSocket();
  Expect(Resolve(socket, "nlctrl") == GENL_ID_CTRL, "the controller knows itself");
  const int family = Resolve(socket, "VFIO");
  Expect(family > GENL_ID_CTRL, "VFIO has a number");
  Expect(PortOf(socket) == static_cast<uint32_t>(getpid()), "the port is the process's number");
  Expect(Resolve(socket, "VFIOX") == -ENOENT, "another name is ENOENT");
  Send(socket, Message::To(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 8)
                   .Add(CTRL_ATTR_FAMILY_ID, static_cast<uint16_t>(family)));
  Expect(strcmp(Receive(socket).Find(CTRL_ATTR_FAMILY_NAME), "VFIO") == 0, "found by number");
  const int other = OpenSocket();
  Expect(Resolve(other, "VFIO") == family, "another socket finds the same number");
  Expect(static_cast<int>(PortOf(other)) < -4096, "and has another port");
  Send(socket, Message::To(family, 55, 9));
  ExpectAcknowledged(socket, 9, -EOPNOTSUPP);
  Send(socket, Registration(family, 10));
  Expect(IsEmpty(socket), "who does not ask for an acknowledgement gets none");
}

void TestDump() {
  const int socket = OpenSocket();
  Send(socket, Message::To(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 31, NLM_F_DUMP));
  std::map<std::string, int> names;
  for (bool more = true; more;) {
    alignas(8) char bytes[32768];
    int left = static_cast<int>(recv(socket, bytes, sizeof bytes, 0));
    Require(left > 0, "recv");
    auto* header = reinterpret_cast<nlmsghdr*>(bytes);
    for (; NLMSG_OK(header, static_cast<unsigned>(left)); header = NLMSG_NEXT(header, left)) {
      Expect(header->nlmsg_seq == 31 && (header->nlmsg_flags & NLM_F_MULTI) != 0, "of the dump");
      more = header->nlmsg_type != NLMSG_DONE;
      Message message{};
      memcpy(message.bytes, header, header->nlmsg_len);
      if (more) ++names[message.Find(CTRL_ATTR_FAMILY_NAME)];
    }
  }
  Expect(names["VFIO"] == 1 && names["nlctrl"] == 1, "VFIO and nlctrl are listed once");
}

void TestWaiting() {
  Listener listener;
  listener.ExpectSleep(FallAsleep(100));
  pollfd ready{listener.socket, POLLIN, 0};
  Expect(poll(&ready, 1, 50) == 0, "poll sees nothing");
  const int set = epoll_create1(0);
  epoll_event event{EPOLLIN | EPOLLET, {}};
  epoll_ctl(set, EPOLL_CTL_ADD, listener.socket, &event);
  auto sleeper = FallAsleep(50);
  Expect(epoll_wait(set, &event, 1, 2000) == 1, "epoll sees the event");
  Expect(poll(&ready, 1, 0) == 1, "and poll");
  listener.ExpectSleep(std::move(sleeper));
}

void TestSignals() {
  Listener listener;
  Handle(SIGALRM, 0);
  SetAlarm(50);
  Expect(TryReceive(listener.socket) < 0 && errno == EINTR && handled == 1, "EINTR");
  Handle(SIGALRM, SA_RESTART);
  SetAlarm(20, 20);
  listener.ExpectSleep(FallAsleep(300));
  SetAlarm(0);
  Expect(handled >= 5, "with SA_RESTART the handler runs and the call goes on");
  const timeval second{1, 0}, little{0, 60000};
  setsockopt(listener.socket, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
  SetAlarm(30);
  Expect(TryReceive(listener.socket) < 0 && errno == EINTR, "with a timeout it does not");
  setsockopt(listener.socket, SOL_SOCKET, SO_RCVTIMEO, &little, sizeof little);
  const auto start = Clock::now();
  Expect(TryReceive(listener.socket) < 0 && errno == EAGAIN, "the timeout is EAGAIN");
  Expect(SecondsSince(start) >= 0.059, "and not too early");
}

// A signal of the process that either of two threads may take.
void TestThreads() {
  Listener listener;
  Handle(SIGUSR1, SA_RESTART);
  std::thread waiter([&] { listener.ExpectSleep(FallAsleep(400)); });
  for (int i = 0; i < 10; ++i) {
    usleep(20000);
    kill(getpid(), SIGUSR1);
  }
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  usleep(20000);
  Expect(handled == 10, "the thread that does not wait handles it");
  kill(getpid(), SIGUSR1);
  usleep(120000);
  Expect(handled == 11, "or the one that waits, where nobody else wants it");
  waiter.join();
}

void TestPeek() {
  Listener listener;
  Send(listener.socket, AskFor("VFIO", 1));
  char small[20];
  iovec part{nullptr, 0};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  const ssize_t whole = recvmsg(listener.socket, &header, MSG_PEEK | MSG_TRUNC);
  Expect(whole > 60 && (header.msg_flags & MSG_TRUNC) != 0, "a look tells the length");
  part = {small, sizeof small};
  Expect(recvmsg(listener.socket, &header, MSG_PEEK) == sizeof small, "as much as there is room");
  Expect(reinterpret_cast<nlmsghdr*>(small)->nlmsg_type == GENL_ID_CTRL, "its first bytes");
  sockaddr_nl from{};
  socklen_t size = sizeof from;
  Message message{};
  Expect(recvfrom(listener.socket, message.bytes, sizeof message.bytes, 0,
                  reinterpret_cast<sockaddr*>(&from), &size) == whole &&
             size == sizeof from && from.nl_family == AF_NETLINK && from.nl_pid == 0,
         "the message, from the kernel");
  Send(listener.socket, AskFor("VFIO", 2));
  Expect(recv(listener.socket, reinterpret_cast<void*>(16), 100, 0) < 0 && errno == EFAULT,
         "a bad buffer is EFAULT");
  Expect(IsEmpty(listener.socket), "and the message is gone");
}

void TestBatch() {
  const int socket = OpenSocket();
  const int family = Resolve(socket, "VFIO");
  Message first = AskFor("nlctrl", 1), second = Registration(family, 2, NLM_F_ACK);
  Message third = AskFor("nlctrl", 3);
  iovec parts[] = {{first.bytes, first.header().nlmsg_len},
                   {second.bytes, second.header().nlmsg_len},
                   {third.bytes, third.header().nlmsg_len}};
  msghdr header{};
  header.msg_iov = parts;
  header.msg_iovlen = 3;
  Require(sendmsg(socket, &header, 0) > 0, "sendmsg");
  for (uint32_t i = 1; i <= 3; ++i) {
    Message answer = Receive(socket);
    Expect(answer.header().nlmsg_seq == i, "answers come in the order of the questions");
    Expect((answer.header().nlmsg_type == NLMSG_ERROR) == (i == 2), "each its own");
  }
  mmsghdr many[3] = {};
  for (int i = 0; i < 3; ++i) {
    many[i].msg_hdr.msg_iov = &parts[i];
    many[i].msg_hdr.msg_iovlen = 1;
  }
  Expect(sendmmsg(socket, many, 3, 0) == 3 && many[1].msg_len == second.header().nlmsg_len,
         "three at once");
  std::vector<Message> answers(4);
  iovec rooms[4];
  mmsghdr got[4] = {};
  for (size_t i = 0; i < 4; ++i) {
    rooms[i] = {answers[i].bytes, sizeof answers[i].bytes};
    got[i].msg_hdr.msg_iov = &rooms[i];
    got[i].msg_hdr.msg_iovlen = 1;
  }
  Expect(recvmmsg(socket, got, 4, MSG_WAITFORONE, nullptr) == 3, "three answers at once");
  for (uint32_t i = 0; i < 3; ++i)
    Expect(
        answers[i].header().nlmsg_seq == i + 1 && got[i].msg_len >= answers[i].header().nlmsg_len,
        "in their order");
}

void TestOptions() {
  const int on = 1;
  for (const bool capped : {false, true}) {
    const int socket = OpenSocket();
    if (capped) setsockopt(socket, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    Message request = Message::To(Resolve(socket, "VFIO"), 55, 9);
    request.Add(1, "abcdefg", 8);
    Send(socket, request);
    Message answer{};
    const ssize_t size = recv(socket, answer.bytes, sizeof answer.bytes, 0);
    Expect(size == (capped ? 36 : 20 + static_cast<ssize_t>(request.header().nlmsg_len)),
           "the answer has the request, or its header alone");
    Expect(answer.header().nlmsg_flags == (capped ? NLM_F_CAPPED : 0), "and says so");
  }
  const int socket = OpenSocket(), small = 2048;
  const int family = Resolve(socket, "VFIO");
  setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  for (uint32_t i = 0; i < 40; ++i) Send(socket, Registration(family, i, NLM_F_ACK));
  Expect(TryReceive(socket) < 0 && errno == ENOBUFS, "a queue that is full is told of");
}

void TestFork() {
  Listener listener;
  auto sleeper = FallAsleep(150);
  const pid_t heir = fork();
  if (heir == 0) {
    Message event = Receive(listener.socket);
    Agree(listener.socket, listener.family);
    _exit(IsEvent(event, listener.family, kPmSuspend) ? 0 : 1);
  }
  close(listener.socket);
  int status = 0;
  Expect(waitpid(heir, &status, 0) == heir && status == 0 && sleeper.get(),
         "a child has the socket when its parent has closed it");
  Expect(!FallAsleep().get(), "when nobody has it, nobody can be asked");
}

void TestEvents() {
  Listener listener;
  const char* inject = "/sys/class/vfio/vfio0/inject_error";
  auto recovery = WriteLater(inject, "normal");
  ExpectError(listener.socket, listener.family, kErrorDetected, 2);
  ExpectError(listener.socket, listener.family, kMmioEnabled, 5);
  Message resume = Receive(listener.socket);
  Expect(IsEvent(resume, listener.family, kErrorResume), "the error is over");
  Expect(recovery.get(), "it is recovered from");
  const auto start = Clock::now();
  Expect(!WriteLater(inject, "normal").get(), "who does not answer does not recover");
  Expect(SecondsSince(start) > 2.9, "after three seconds");
  Receive(listener.socket);
  auto removal = WriteLater("/sys/bus/pci/drivers/vfio/unbind", kEdu);
  Message removed = Receive(listener.socket);
  Expect(IsEvent(removed, listener.family, kRemove), "the device goes");
  Expect(removal.wait_for(std::chrono::milliseconds{100}) == std::future_status::timeout,
         "when it is closed");
  close(listener.device);
  Expect(removal.get(), "now");
}

void TestOthers() {
  const int route = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  struct {
    nlmsghdr header;
    char rest[16];
  } links{{32, 18, NLM_F_REQUEST | NLM_F_DUMP, 3, 0}, {}};
  Expect(send(route, &links, sizeof links, 0) == sizeof links && TryReceive(route) > 100,
         "the links of the machine");
  int pair[2];
  Require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
  std::thread late([&] {
    usleep(50000);
    send(pair[1], "x", 1, 0);
  });
  Expect(TryReceive(pair[0]) == 1, "one byte through a pair of sockets");
  late.join();
  Expect(send(STDIN_FILENO, "x", 1, 0) < 0, "no socket");
  Expect(sendmsg(pair[0], reinterpret_cast<msghdr*>(16), 0) < 0 && errno == EFAULT,
         "no message is EFAULT");
  const int generic = OpenSocket();
  mmsghdr one{};
  Expect(recvmmsg(generic, &one, 1, MSG_DONTWAIT, reinterpret_cast<timespec*>(16)) < 0 &&
             errno == EFAULT,
         "nor a time");
  Expect(recv(-1, pair, 1, 0) < 0 && errno == EBADF, "no descriptor");
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> tests{
      {"family", TestFamily},   {"dump", TestDump},       {"waiting", TestWaiting},
      {"signals", TestSignals}, {"threads", TestThreads}, {"peek", TestPeek},
      {"batch", TestBatch},     {"options", TestOptions}, {"fork", TestFork},
      {"events", TestEvents},   {"others", TestOthers}};
  if (argc < 2 || !tests.contains(argv[1])) return 2;
  tests.at(argv[1])();
  printf("as it should be\n");
  return 0;
}
