#include "netlink/exchange.hpp"

namespace vfiolab {
namespace {

using Claim = NetlinkController::Claim;
using Datagram = NetlinkExchange::Datagram;

// A failure: the kernel has something to refuse, or it is for another program.
Result<Datagram> ReadDatagram(const ClientMessage& from, const NetlinkSocket& socket,
                              ClientMemory& memory) {
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

}  // namespace

NetlinkExchange::NetlinkExchange(NetlinkFamily& family, Handle handle)
    : family_(family), handle_(std::move(handle)), controller_(family) {
  family_.set_outlet(this);
}

bool NetlinkExchange::Wants(const std::vector<Datagram>& datagrams, Claim claim) const {
  return std::ranges::any_of(datagrams, [&](const Datagram& datagram) {
    std::span<const std::byte> left = datagram.bytes;
    while (const auto message = TakeMessage(left))
      if (controller_.ClaimOf(*message) == claim) return true;
    return false;
  });
}

// Up to the first one that is not for us to look at, and not too many: such a call ends there.
std::vector<Datagram> NetlinkExchange::Read(const SocketCall& call, const NetlinkSocket& socket,
                                            ClientMemory& memory) const {
  if ((call.flags() & MSG_OOB) != 0) return {};
  std::vector<Datagram> datagrams;
  constexpr u64 kMost = 2_MiB;
  u64 total = 0;
  for (unsigned i = 0; i < call.count() && total < kMost; ++i) {
    const auto message = ClientMessage::Of(call, i, memory);
    auto datagram = message ? ReadDatagram(*message, socket, memory) : Failure{message.error()};
    if (!datagram) break;
    total += datagram->bytes.size();
    datagrams.push_back(std::move(*datagram));
  }
  if (!Wants(datagrams, Claim::kFamily) && !Wants(datagrams, Claim::kControl) &&
      !Wants(datagrams, Claim::kDump))
    datagrams.clear();
  return datagrams;
}

std::optional<long> NetlinkExchange::Send(const SocketCall& call, const NetlinkSocket& socket,
                                          const std::vector<Datagram>& datagrams,
                                          ClientMemory& memory) {
  socket.Bind(call.tid);
  sockets_.Learn(socket, call.tid, call.descriptor());
  const bool ours = Wants(datagrams, Claim::kFamily) || Wants(datagrams, Claim::kControl);
  if (!ours && call.count() == 1) {
    // What we have to say comes first; the client itself asks the kernel.
    std::span<const std::byte> left = datagrams.front().bytes;
    while (const auto message = TakeMessage(left))
      if (controller_.ClaimOf(*message) == Claim::kDump)
        Answer(call.tid, socket, *message, Claim::kDump);
    return std::nullopt;
  }
  for (const Datagram& datagram : datagrams) Deliver(call.tid, socket, datagram);
  for (const Datagram& datagram : datagrams)
    if (datagram.length_at != 0)
      memory.Store(ClientAddress{datagram.length_at}, static_cast<u32>(datagram.bytes.size()))
          .IgnoreError();
  return static_cast<long>(call.is_of_many() ? datagrams.size() : datagrams.front().bytes.size());
}

// What is not ours goes to the kernel on our copy. What the socket may do depends on who opened it.
void NetlinkExchange::Deliver(pid_t tid, const NetlinkSocket& socket, const Datagram& datagram) {
  std::span<const std::byte> left = datagram.bytes;
  while (const auto message = TakeMessage(left)) {
    const Claim claim = controller_.ClaimOf(*message);
    if (claim != Claim::kKernel) Answer(tid, socket, *message, claim);
    if (claim != Claim::kKernel && claim != Claim::kDump) continue;
    const sockaddr_nl kernel{.nl_family = AF_NETLINK};
    static_cast<void>(::sendto(socket.fd(), message->bytes.data(), message->bytes.size(),
                               MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&kernel),
                               sizeof kernel));
  }
}

void NetlinkExchange::Answer(pid_t tid, const NetlinkSocket& socket, const NetlinkMessage& request,
                             Claim claim) {
  const NetlinkPeer peer = socket.peer();
  if (claim == Claim::kDump) {
    socket.Queue(controller_.Describe(request, peer.port, NLM_F_MULTI));
    return;
  }
  int error = 0;
  if (claim == Claim::kControl) {
    socket.Queue(controller_.Describe(request, peer.port, 0));
  } else {
    const auto handled = handle_(tid, {peer, request.header.nlmsg_seq, request.header.nlmsg_flags,
                                       request.bytes.subspan(NLMSG_HDRLEN)});
    if (!handled) error = handled.error().code;
  }
  if (error != 0 || (request.header.nlmsg_flags & NLM_F_ACK) != 0)
    socket.Queue(NetlinkController::Acknowledge(request, socket, error));
}

bool NetlinkExchange::Send(const NetlinkFamily&, const NetlinkPeer& to, const NetlinkEvent& event) {
  const auto socket = sockets_.Find(to);
  return socket && socket->Queue(controller_.Build(event));
}

}  // namespace vfiolab
