#include "netlink/socket_call.hpp"

#include <limits.h>

namespace vfiolab {
namespace {

Result<std::vector<iovec>> ReadParts(ClientMemory& memory, u64 at, u64 count) {
  std::vector<iovec> parts(count);
  TRY(memory.Read(ClientAddress{at}, std::as_writable_bytes(std::span{parts})));
  return parts;
}

// net/socket.c copy_msghdr_from_user.
Result<ClientMessage> OfHeader(ClientMemory& memory, u64 at) {
  const auto header = TRY(memory.Load<msghdr>(ClientAddress{at}));
  ClientMessage message;
  message.name = reinterpret_cast<u64>(header.msg_name);
  message.name_size = static_cast<int>(header.msg_namelen);
  if (message.name_size < 0) return Fail(EINVAL, "a name of negative size");
  if (header.msg_iovlen > IOV_MAX) return Fail(EMSGSIZE, "too many parts");
  message.parts = TRY(ReadParts(memory, reinterpret_cast<u64>(header.msg_iov), header.msg_iovlen));
  message.name_size_at = at + offsetof(msghdr, msg_namelen);
  message.control = reinterpret_cast<u64>(header.msg_control);
  message.control_size = message.control == 0 ? 0 : header.msg_controllen;
  message.header = at;
  return message;
}

Result<ClientMessage> OfCall(const SocketCall& call, unsigned index, ClientMemory& memory) {
  ClientMessage message;
  switch (call.number) {
    case SYS_sendmsg:
    case SYS_recvmsg:
      return OfHeader(memory, call.arguments[1]);
    case SYS_sendmmsg:
    case SYS_recvmmsg: {
      const u64 at = call.arguments[1] + index * sizeof(mmsghdr);
      message = TRY(OfHeader(memory, at));
      message.length_at = at + offsetof(mmsghdr, msg_len);
      return message;
    }
    case SYS_readv:
    case SYS_writev:
      if (call.arguments[2] > IOV_MAX) return Fail(EINVAL, "too many parts");
      message.parts = TRY(ReadParts(memory, call.arguments[1], call.arguments[2]));
      return message;
    case SYS_sendto:
      message.name_size = static_cast<int>(call.arguments[5]);
      message.name = call.arguments[4];
      break;
    case SYS_recvfrom:
      message.name_size_at = call.arguments[5];
      message.name = call.arguments[4];
      break;
    default:
      break;
  }
  message.parts = {{reinterpret_cast<void*>(call.arguments[1]), call.arguments[2]}};
  return message;
}

}  // namespace

Result<ClientMessage> ClientMessage::Of(const SocketCall& call, unsigned index,
                                        ClientMemory& memory) {
  ClientMessage message = TRY(OfCall(call, index, memory));
  for (const iovec& part : message.parts) message.size += part.iov_len;
  return message;
}

Result<std::vector<std::byte>> ClientMessage::Gather(ClientMemory& memory) const {
  std::vector<std::byte> bytes(size);
  std::span<std::byte> left = bytes;
  for (const iovec& part : parts) {
    const std::size_t count = std::min(part.iov_len, left.size());
    TRY(memory.Read(ClientAddress{reinterpret_cast<u64>(part.iov_base)}, left.first(count)));
    left = left.subspan(count);
  }
  return bytes;
}

Result<> ClientMessage::Scatter(ClientMemory& memory, std::span<const std::byte> bytes) const {
  for (const iovec& part : parts) {
    if (bytes.empty()) break;
    const std::size_t count = std::min(part.iov_len, bytes.size());
    TRY(memory.Write(ClientAddress{reinterpret_cast<u64>(part.iov_base)}, bytes.first(count)));
    bytes = bytes.subspan(count);
  }
  return {};
}

u32 SocketCall::flags() const {
  switch (number) {
    case SYS_sendmsg:
    case SYS_recvmsg:
      return static_cast<u32>(arguments[2]);
    case SYS_sendto:
    case SYS_recvfrom:
    case SYS_sendmmsg:
    case SYS_recvmmsg:
      return static_cast<u32>(arguments[3]);
    default:
      return 0;
  }
}

unsigned SocketCall::count() const {
  return is_of_many() ? std::min(static_cast<unsigned>(arguments[2]), unsigned{IOV_MAX}) : 1;
}

}  // namespace vfiolab
