#include "in_process/sockets.hpp"

#include <fcntl.h>

#include "netlink/receive.hpp"

namespace vfiolab::in_process {
namespace {

std::optional<NetlinkSocket> Copy(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return std::nullopt;
  return NetlinkSocket::Of(copy);
}

}  // namespace

bool Sockets::IsGeneric(int fd) { return Copy(fd).has_value(); }

std::optional<long> Sockets::Send(const SocketCall& call) {
  const auto socket = Copy(call.descriptor());
  OwnCaller caller(process_, call.tid);
  if (!socket) return std::nullopt;
  return Send(call, *socket, static_cast<CallContext&>(caller).memory());
}

std::optional<long> Sockets::Send(const SocketCall& call, const NetlinkSocket& socket,
                                  ClientMemory& memory) {
  NetlinkFamily* family = host_.interfaces().netlink_family();
  if (family == nullptr) return std::nullopt;
  if (!exchange_)
    exchange_.emplace(*family, [this, family](pid_t tid, const NetlinkRequest& request) {
      return host_.door().Message(now_(), tid, *family, request);
    });
  if (!exchange_->takes_part()) return std::nullopt;
  const auto datagrams = exchange_->Read(call, socket, memory);
  if (datagrams.empty()) return std::nullopt;
  return exchange_->Send(call, socket, datagrams, memory);
}

Result<long> Sockets::ReceiveNow(const SocketCall& call, unsigned index) {
  const auto socket = Copy(call.descriptor());
  if (!socket) return Fail(ENOTSOCK, "no socket of generic netlink");
  OwnCaller caller(process_, call.tid);
  ClientMemory& memory = static_cast<CallContext&>(caller).memory();
  const auto target = TRY(ClientMessage::Of(call, index, memory));
  return vfiolab::ReceiveNow(*socket, target, call.flags(), memory);
}

}  // namespace vfiolab::in_process
