#include "transport/netlink_calls.hpp"

#include <unistd.h>

#include <algorithm>

namespace vfiolab {

NetlinkCalls::NetlinkCalls(EventLoop& loop, FileCalls& calls, NetlinkFamily& family)
    : services_(calls.services()),
      exchange_(family,
                [&](pid_t tid, const NetlinkRequest& request) {
                  return loop.door().Message(loop.Now(), tid, family, request);
                }),
      receives_(loop, services_) {}

bool NetlinkCalls::Take(const std::shared_ptr<TrappedCall>& call, const struct statx& found) {
  const bool sends = std::ranges::count(kSendCalls, call->number()) != 0;
  const bool receives = std::ranges::count(kReceiveCalls, call->number()) != 0;
  if ((!sends && !receives) || !exchange_.takes_part()) return false;
  auto socket = Copy(*call, found);
  if (!socket) return false;
  return sends ? TakeSend(*call, *socket) : TakeReceive(call, std::move(*socket));
}

std::optional<NetlinkSocket> NetlinkCalls::Copy(const TrappedCall& call,
                                                const struct statx& found) {
  if (foreign_.contains(found.stx_ino)) return std::nullopt;
  auto copy = DuplicateDescriptor(call.tid(), call.descriptor());
  if (!copy) return std::nullopt;
  if (auto socket = NetlinkSocket::Of(*copy)) return socket;
  const auto now = StatDescriptor(::getpid(), copy->get());
  constexpr std::size_t kMost = 65536;
  if (foreign_.size() >= kMost) foreign_.clear();
  if (now && now->stx_ino == found.stx_ino) foreign_.insert(found.stx_ino);
  closer_.Post([other = std::move(*copy)]() mutable { other.Reset(); });
  return std::nullopt;
}

// One that would wait might wait until there is something of ours.
bool NetlinkCalls::TakeReceive(const std::shared_ptr<TrappedCall>& call, NetlinkSocket socket) {
  const SocketCall made = call->AsSocketCall();
  if ((made.flags() & (MSG_OOB | MSG_ERRQUEUE)) != 0 || made.count() == 0) return false;
  const bool waits = (made.flags() & MSG_DONTWAIT) == 0 && socket.blocks();
  if (!exchange_.Knows(socket) && (!waits || socket.HasMessage())) return false;
  receives_.Take(call, std::move(socket));
  return true;
}

bool NetlinkCalls::TakeSend(TrappedCall& call, const NetlinkSocket& socket) {
  const SocketCall made = call.AsSocketCall();
  Caller caller(services_, call.tid());
  ClientMemory& memory = static_cast<CallContext&>(caller).memory();
  const auto datagrams = exchange_.Read(made, socket, memory);
  if (datagrams.empty() || !call.waits()) return false;
  const auto value = exchange_.Send(made, socket, datagrams, memory);
  if (value) call.Return(*value);
  return value.has_value();
}

}  // namespace vfiolab
