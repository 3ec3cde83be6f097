#include "netlink/receive.hpp"

#include <linux/netlink.h>

namespace vfiolab {
namespace {

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

Result<long> ReceiveNow(const NetlinkSocket& socket, const ClientMessage& target, u32 flags,
                        ClientMemory& memory) {
  return Give(memory, target, TRY(ReceiveFrom(socket, target, flags)), flags);
}

}  // namespace vfiolab
