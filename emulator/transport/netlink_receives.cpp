#include "transport/netlink_receives.hpp"

#include <linux/netlink.h>
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

// What a socket has given.
struct Message {
  std::vector<std::byte> bytes;
  u64 size;  // of the whole
  sockaddr_nl from;
  socklen_t from_size;
  std::vector<std::byte> control;
  int flags;

  std::span<const std::byte> visible(u64 room) const {
    return std::span{bytes}.first(std::min<u64>({room, size, bytes.size()}));
  }
};

Result<Message> ReceiveFrom(const NetlinkSocket& socket, const ClientMessage& target, u32 flags) {
  constexpr u64 kMost = 1_MiB;
  constexpr u64 kMostControl = 4_KiB;
  // No more is looked at: the kernel makes dumps as large as the largest room that was given.
  std::array<std::byte, NetlinkSocket::kCarrierHead> head{};
  const ssize_t whole =
      ::recv(socket.fd(), head.data(), head.size(), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  if (whole < 0) return Fail(errno, "nothing to receive");
  const auto there = static_cast<u64>(whole);
  const bool ours = NetlinkSocket::IsCarrier(std::span{head}.first(std::min(there, head.size())));
  Message message{};
  message.bytes.resize(ours ? there : std::min(target.size, kMost));
  message.control.resize(std::min(target.control_size, kMostControl));
  iovec part{message.bytes.data(), message.bytes.size()};
  msghdr in{};
  in.msg_name = &message.from;
  in.msg_namelen = sizeof message.from;
  in.msg_iov = &part;
  in.msg_iovlen = 1;
  in.msg_control = message.control.data();
  in.msg_controllen = message.control.size();
  const ssize_t got =
      ::recvmsg(socket.fd(), &in, static_cast<int>(flags & MSG_PEEK) | MSG_TRUNC | MSG_DONTWAIT);
  if (got < 0) return Fail(errno, "nothing to receive");
  message.size = static_cast<u64>(got);
  message.from_size = in.msg_namelen;
  message.control.resize(in.msg_controllen);
  message.flags = in.msg_flags & ~(MSG_TRUNC | MSG_CMSG_CLOEXEC);
  // Another thread may have taken what was looked at.
  if (NetlinkSocket::IsCarrier(message.visible(~u64{0}))) {
    message.bytes.erase(message.bytes.begin(), message.bytes.begin() + NetlinkSocket::kCarrierHead);
    message.size -= NetlinkSocket::kCarrierHead;
  }
  return message;
}

// net/socket.c move_addr_to_user.
Result<> GiveName(ClientMemory& memory, const ClientMessage& target, const Message& message) {
  int room = target.name_size;
  if (target.header == 0) room = TRY(memory.Load<int>(ClientAddress{target.name_size_at}));
  const int size = static_cast<int>(message.from_size);
  if (room < 0) return Fail(EINVAL, "a name of negative size");
  const auto bytes = BytesOf(message.from).first(static_cast<std::size_t>(std::min(room, size)));
  TRY(memory.Write(ClientAddress{target.name}, bytes));
  return memory.Store(ClientAddress{target.name_size_at}, size);
}

// net/socket.c ____sys_recvmsg.
Result<long> Give(ClientMemory& memory, const ClientMessage& target, const Message& message,
                  u32 flags) {
  const auto visible = message.visible(target.size);
  TRY(target.Scatter(memory, visible));
  if (target.name != 0) TRY(GiveName(memory, target, message));
  if (target.header != 0) {
    const int told = message.flags | static_cast<int>(flags & MSG_CMSG_CLOEXEC) |
                     (message.size > target.size ? MSG_TRUNC : 0);
    if (!message.control.empty()) TRY(memory.Write(ClientAddress{target.control}, message.control));
    TRY(memory.Store(ClientAddress{target.header + offsetof(msghdr, msg_flags)}, told));
    TRY(memory.Store(ClientAddress{target.header + offsetof(msghdr, msg_controllen)},
                     message.control.size()));
  }
  const u64 counted = (flags & MSG_TRUNC) != 0 ? message.size : visible.size();
  if (target.length_at != 0)
    TRY(memory.Store(ClientAddress{target.length_at}, static_cast<u32>(counted)));
  return static_cast<long>(counted);
}

}  // namespace

struct NetlinkReceives::Receive {
  std::shared_ptr<TrappedCall> call;
  NetlinkSocket socket;
  u32 flags;
  bool waits;
  std::optional<Instant> deadline;  // of the socket
  unsigned wanted;                  // messages
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
  const auto receive =
      std::make_shared<Receive>(Receive{.call = std::move(call), .socket = std::move(socket)});
  const TrappedCall& made = *receive->call;
  receive->flags = MessageFlags(made);
  receive->waits = (receive->flags & MSG_DONTWAIT) == 0 && receive->socket.blocks();
  receive->wanted = MessageCount(made);
  if (const auto timeout = receive->socket.receive_timeout(); timeout && receive->waits)
    receive->deadline = HostClock::now() + *timeout;
  if (made.number() == SYS_recvmmsg && made.argument(4) != 0) {
    Caller caller(services_, made.tid());
    CallContext& context = caller;
    const auto left = context.memory().Load<timespec>(ClientAddress{made.argument(4)});
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
  const bool many = receive->call->number() == SYS_recvmmsg;
  while (receive->call->waits()) {  // else its messages stay for others
    const Result<long> got = ReceiveOne(*receive);
    if (many && got) {
      ++receive->done;
      if ((receive->flags & MSG_WAITFORONE) != 0) receive->waits = false;
      const bool in_time = !receive->no_more || HostClock::now() < *receive->no_more;
      if (receive->done < receive->wanted && in_time) continue;
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
  Caller caller(services_, receive.call->tid());
  ClientMemory& memory = static_cast<CallContext&>(caller).memory();
  const auto target = TRY(ClientMessage::Of(*receive.call, receive.done, memory));
  const Message message = TRY(ReceiveFrom(receive.socket, target, receive.flags));
  return Give(memory, target, message, receive.flags);
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
