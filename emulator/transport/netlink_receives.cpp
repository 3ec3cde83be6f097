#include "transport/netlink_receives.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "process/thread_status.hpp"

namespace vfiolab {
namespace {

using HostClock = std::chrono::steady_clock;

// linux/errno.h ERESTARTSYS: the kernel makes EINTR of it, or makes the call again. It must not
// reach a thread for which no signal waits: that would see the number itself.
constexpr int kRestartAfterSignal = 512;
// How often the signals of those that wait are looked at, and how often a signal of the process may
// be seen until it counts as one that this thread is to get.
constexpr std::chrono::milliseconds kBetweenLooks{10};
constexpr int kMostLooks = 3;

// Has the thread look for signals when its call returns, which it may not know of yet: whoever is
// traced sees also those that it ignores.
bool MakeLookForSignals(pid_t tid, const ThreadStatus& status) {
  if (!status.traced()) return false;
  for (const int signal : {SIGURG, SIGWINCH})
    if (!status.Catches(signal) && !status.Blocks(signal))
      return ::syscall(SYS_tgkill, status.process(), tid, signal) == 0;
  return false;
}

}  // namespace

struct NetlinkReceives::Receive {
  std::shared_ptr<TrappedCall> call;
  SocketCall made;
  NetlinkSocket socket;
  bool waits;
  std::optional<Instant> deadline;  // of the socket
  unsigned done = 0;
  std::optional<Instant> no_more;  // after it no further message is waited for
  u64 number = 0;
  int looks = 0;
  bool busy = false;  // a thread is at it, perhaps held up by the client's memory
};

NetlinkReceives::NetlinkReceives(EventLoop& loop, CallerServices& services)
    : loop_(loop),
      services_(services),
      messages_(loop.context(), ::epoll_create1(EPOLL_CLOEXEC)),
      tick_(loop.context()) {
  WaitForMessages();
}

NetlinkReceives::~NetlinkReceives() {
  while (!held_.empty()) Release(held_.begin()->first);
}

void NetlinkReceives::Take(std::shared_ptr<TrappedCall> call, NetlinkSocket socket) {
  const SocketCall made = call->AsSocketCall();
  const bool waits = (made.flags() & MSG_DONTWAIT) == 0 && socket.blocks();
  const auto receive = std::make_shared<Receive>(
      Receive{.call = std::move(call), .made = made, .socket = std::move(socket), .waits = waits});
  if (const auto timeout = receive->socket.receive_timeout(); timeout && waits)
    receive->deadline = HostClock::now() + *timeout;
  if (made.number == SYS_recvmmsg && made.arguments[4] != 0) {
    Caller caller(services_, made.tid);
    CallContext& context = caller;
    const auto left = context.memory().Load<timespec>(ClientAddress{made.arguments[4]});
    if (!left) return receive->call->FailWith(EFAULT);
    receive->no_more = HostClock::now() + std::chrono::seconds{left->tv_sec} +
                       std::chrono::nanoseconds{left->tv_nsec};
  }
  if (!Attempt(receive)) Hold(receive);
}

bool NetlinkReceives::AttemptInTurn(const Held& receive) {
  const Turn::Call under_way(loop_.turn(), receive->call);
  return Attempt(receive);
}

bool NetlinkReceives::Attempt(const Held& receive) {
  receive->busy = true;
  while (receive->call->waits()) {  // else its messages stay for others
    const Result<long> got = ReceiveOne(*receive);
    if (receive->made.is_of_many() && got) {
      ++receive->done;
      if ((receive->made.flags() & MSG_WAITFORONE) != 0) receive->waits = false;
      const bool in_time = !receive->no_more || HostClock::now() < *receive->no_more;
      if (receive->done < receive->made.count() && in_time) continue;
    }
    receive->busy = false;
    if (!got && got.error().code == EAGAIN && receive->waits) return false;
    if (receive->done > 0)
      receive->call->Return(receive->done);
    else if (got)
      receive->call->Return(*got);
    else
      receive->call->FailWith(got.error().code);
    return true;
  }
  return true;
}

Result<long> NetlinkReceives::ReceiveOne(Receive& receive) {
  Caller caller(services_, receive.made.tid);
  ClientMemory& memory = static_cast<CallContext&>(caller).memory();
  const auto target = TRY(ClientMessage::Of(receive.made, receive.done, memory));
  return ReceiveNow(receive.socket, target, receive.made.flags(), memory);
}

void NetlinkReceives::Hold(const Held& receive) {
  receive->number = ++last_;
  epoll_event event{.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = receive->number}};
  if (::epoll_ctl(messages_.native_handle(), EPOLL_CTL_ADD, receive->socket.fd(), &event) != 0)
    return receive->call->FailWith(ENOBUFS);
  held_.emplace(receive->number, receive);
  WaitForSignals();
}

void NetlinkReceives::Release(u64 number) {
  const auto released = held_.extract(number);
  if (released.empty()) return;
  // The set would keep what the client has open, too.
  ::epoll_ctl(messages_.native_handle(), EPOLL_CTL_DEL, released.mapped()->socket.fd(), nullptr);
}

void NetlinkReceives::WaitForMessages() {
  messages_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [this](const boost::system::error_code& error) {
                         if (!error) OnMessages();
                       });
}

void NetlinkReceives::OnMessages() {
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(messages_.native_handle(), events.data(), events.size(), 0);
  WaitForMessages();
  for (int i = 0; i < count; ++i) {
    const auto found = held_.find(events[static_cast<std::size_t>(i)].data.u64);
    if (found == held_.end() || found->second->busy) continue;
    const Held receive = found->second;
    if (AttemptInTurn(receive)) {
      Release(receive->number);
      continue;
    }
    epoll_event again{.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = receive->number}};
    ::epoll_ctl(messages_.native_handle(), EPOLL_CTL_MOD, receive->socket.fd(), &again);
  }
}

void NetlinkReceives::WaitForSignals() {
  if (held_.empty() || std::exchange(ticks_, true)) return;
  Instant next = HostClock::now() + std::max<HostClock::duration>(kBetweenLooks, pause_);
  for (const auto& [number, receive] : held_)
    if (receive->deadline) next = std::min(next, *receive->deadline);
  tick_.expires_at(next);
  tick_.async_wait([this](const boost::system::error_code& error) {
    ticks_ = false;
    if (!error) OnTick();
  });
}

void NetlinkReceives::OnTick() {
  constexpr int kShare = 10;  // of the time, where many wait, others have all but that part
  const Instant start = HostClock::now();
  std::vector<Held> all;
  for (const auto& [number, receive] : held_) all.push_back(receive);
  for (const Held& receive : all)
    if (!receive->busy && HasEnded(*receive)) Release(receive->number);
  pause_ = kShare * (HostClock::now() - start);
  WaitForSignals();
}

bool NetlinkReceives::HasEnded(Receive& receive) {
  TrappedCall& call = *receive.call;
  if (!call.waits()) return true;
  const bool late = receive.deadline && HostClock::now() >= *receive.deadline;
  const ThreadStatus status(call.tid());
  const PendingSignal pending = status.pending();
  const bool of_process =
      pending == PendingSignal::kOfProcess || pending == PendingSignal::kOfNoOther;
  receive.looks = of_process ? receive.looks + 1 : 0;
  const bool signal = pending == PendingSignal::kOfThread || receive.looks >= kMostLooks;
  if (!signal && !late) return false;
  if (receive.done > 0)
    call.Return(receive.done);
  else if (!signal)
    call.FailWith(EAGAIN);
  else if (!receive.deadline &&  // net/sock.h sock_intr_errno
           (pending == PendingSignal::kOfThread || MakeLookForSignals(call.tid(), status) ||
            pending == PendingSignal::kOfNoOther))
    call.FailWith(kRestartAfterSignal);
  else
    call.FailWith(EINTR);
  return true;
}

}  // namespace vfiolab
