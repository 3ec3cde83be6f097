#include "transport/netlink_calls.hpp"

#include <algorithm>

namespace vfiolab {

using Claim = NetlinkController::Claim;

struct NetlinkCalls::Datagram {
  NetlinkBytes bytes;
  u64 length_at;  // in the client, of one of several
};

NetlinkCalls::NetlinkCalls(EventLoop& loop, FileCalls& calls, NetlinkFamily& family)
    : loop_(loop),
      services_(calls.services()),
      family_(family),
      controller_(family),
      receives_(loop, services_) {
  family_.set_outlet(this);
}

bool NetlinkCalls::Take(const std::shared_ptr<TrappedCall>& call, const struct statx& found) {
  const bool sends = std::ranges::count(kSendCalls, call->number()) != 0;
  const bool receives = std::ranges::count(kReceiveCalls, call->number()) != 0;
  if ((!sends && !receives) || controller_.id() == 0) return false;
  auto socket = sockets_.Copy(call->tid(), call->descriptor(), found);
  if (!socket) return false;
  return sends ? TakeSend(call, *socket, found) : TakeReceive(call, std::move(*socket));
}

// One that would wait might wait until there is something of ours.
bool NetlinkCalls::TakeReceive(const std::shared_ptr<TrappedCall>& call, NetlinkSocket socket) {
  const u32 flags = MessageFlags(*call);
  if ((flags & (MSG_OOB | MSG_ERRQUEUE)) != 0 || MessageCount(*call) == 0) return false;
  const bool waits = (flags & MSG_DONTWAIT) == 0 && socket.blocks();
  if (!sockets_.Knows(socket) && (!waits || socket.HasMessage())) return false;
  receives_.Take(call, std::move(socket));
  return true;
}

// A failure: the kernel has something to refuse, or it is for another program.
Result<NetlinkCalls::Datagram> NetlinkCalls::ReadDatagram(const ClientMessage& from,
                                                          const NetlinkSocket& socket,
                                                          ClientMemory& memory) const {
  sockaddr_nl to{};
  socklen_t size = sizeof to;
  if (from.name == 0) {
    if (::getpeername(socket.fd(), reinterpret_cast<sockaddr*>(&to), &size) != 0)
      return Fail(errno, "no name");
  } else if (from.name_size < static_cast<int>(sizeof to)) {
    return Fail(EINVAL, "the name is too short");
  } else {
    to = TRY(memory.Load<sockaddr_nl>(ClientAddress{from.name}));
  }
  if (to.nl_family != AF_NETLINK || to.nl_pid != 0 || to.nl_groups != 0)
    return Fail(ENOTSUP, "not for the kernel");
  constexpr u64 kMost = 1_MiB;
  constexpr int kOverhead = 32;  // net/netlink/af_netlink.c netlink_sendmsg
  const int room = socket.Option(SOL_SOCKET, SO_SNDBUF) - kOverhead;
  if (from.size == 0 || room < 0 || from.size > std::min(static_cast<u64>(room), kMost))
    return Fail(EMSGSIZE, "no message, or too large");
  return Datagram{TRY(from.Gather(memory)), from.length_at};
}

// Up to the first one that is not for us to look at, and not too many: such a call ends there.
std::vector<NetlinkCalls::Datagram> NetlinkCalls::ReadDatagrams(const TrappedCall& call,
                                                                const NetlinkSocket& socket) {
  std::vector<Datagram> datagrams;
  Caller caller(services_, call.tid());
  ClientMemory& memory = static_cast<CallContext&>(caller).memory();
  constexpr u64 kMost = 2_MiB;
  u64 total = 0;
  for (unsigned i = 0; i < MessageCount(call) && total < kMost; ++i) {
    const auto message = ClientMessage::Of(call, i, memory);
    auto datagram = message ? ReadDatagram(*message, socket, memory) : Failure{message.error()};
    if (!datagram) break;
    total += datagram->bytes.size();
    datagrams.push_back(std::move(*datagram));
  }
  return datagrams;
}

bool NetlinkCalls::Wants(const Datagram& datagram, Claim claim) const {
  std::span<const std::byte> left = datagram.bytes;
  while (const auto message = TakeMessage(left))
    if (controller_.ClaimOf(*message) == claim) return true;
  return false;
}

bool NetlinkCalls::TakeSend(const std::shared_ptr<TrappedCall>& call, const NetlinkSocket& socket,
                            const struct statx& found) {
  if ((MessageFlags(*call) & MSG_OOB) != 0) return false;
  const auto datagrams = ReadDatagrams(*call, socket);
  const auto wants = [&](Claim claim) {
    return std::ranges::any_of(datagrams, [&](const Datagram& d) { return Wants(d, claim); });
  };
  const bool ours = wants(Claim::kFamily) || wants(Claim::kControl);
  if ((!ours && !wants(Claim::kDump)) || !call->waits()) return false;
  socket.Bind(call->tid());
  sockets_.Learn(socket, call->tid(), call->descriptor(), found);
  if (!ours && MessageCount(*call) == 1) {
    // What we have to say comes first; the client itself asks the kernel.
    std::span<const std::byte> left = datagrams.front().bytes;
    while (const auto message = TakeMessage(left))
      if (controller_.ClaimOf(*message) == Claim::kDump)
        socket.Queue(controller_.Describe(*message, socket.peer().port, NLM_F_MULTI));
    return false;
  }
  for (const Datagram& datagram : datagrams) Deliver(*call, socket, datagram);
  Caller caller(services_, call->tid());
  ClientMemory& memory = static_cast<CallContext&>(caller).memory();
  for (const Datagram& datagram : datagrams)
    if (datagram.length_at != 0)
      memory.Store(ClientAddress{datagram.length_at}, static_cast<u32>(datagram.bytes.size()))
          .IgnoreError();
  const bool many = call->number() == SYS_sendmmsg;
  call->Return(static_cast<long>(many ? datagrams.size() : datagrams.front().bytes.size()));
  return true;
}

// What is not ours goes to the kernel on our copy. What the socket may do depends on who opened it.
void NetlinkCalls::Deliver(const TrappedCall& call, const NetlinkSocket& socket,
                           const Datagram& datagram) {
  std::span<const std::byte> left = datagram.bytes;
  while (const auto message = TakeMessage(left)) {
    const Claim claim = controller_.ClaimOf(*message);
    if (claim != Claim::kKernel) Answer(call, socket, *message, claim);
    if (claim != Claim::kKernel && claim != Claim::kDump) continue;
    const sockaddr_nl kernel{.nl_family = AF_NETLINK};
    static_cast<void>(::sendto(socket.fd(), message->bytes.data(), message->bytes.size(),
                               MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&kernel),
                               sizeof kernel));
  }
}

void NetlinkCalls::Answer(const TrappedCall& call, const NetlinkSocket& socket,
                          const NetlinkMessage& request, Claim claim) {
  const NetlinkPeer peer = socket.peer();
  if (claim == Claim::kDump) {
    socket.Queue(controller_.Describe(request, peer.port, NLM_F_MULTI));
    return;
  }
  int error = 0;
  if (claim == Claim::kControl) {
    socket.Queue(controller_.Describe(request, peer.port, 0));
  } else {
    const auto handled =
        loop_.door().Message(loop_.Now(), call.tid(), family_,
                             {peer, request.header.nlmsg_seq, request.header.nlmsg_flags,
                              request.bytes.subspan(NLMSG_HDRLEN)});
    if (!handled) error = handled.error().code;
  }
  if (error != 0 || (request.header.nlmsg_flags & NLM_F_ACK) != 0)
    socket.Queue(NetlinkController::Acknowledge(request, socket, error));
}

bool NetlinkCalls::Send(const NetlinkFamily&, const NetlinkPeer& to, const NetlinkEvent& event) {
  const auto socket = sockets_.Find(to);
  return socket && socket->Queue(controller_.Build(event));
}

}  // namespace vfiolab
