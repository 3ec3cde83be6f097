// The buffers that a client names in a call on a socket, or in a plain read or write.
#pragma once
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <vector>

#include "client/client_memory.hpp"
#include "transport/trapped_call.hpp"

namespace vfiolab {

// Calls that send or receive. The first three of each are of sockets alone.
constexpr std::array kSendCalls{SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_write, SYS_writev};
constexpr std::array kReceiveCalls{SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_read, SYS_readv};
constexpr std::size_t kOfSocketsAlone = 3;
constexpr bool IsOfSocketsAlone(int call) {
  return std::ranges::count(std::span{kSendCalls}.first(kOfSocketsAlone), call) != 0 ||
         std::ranges::count(std::span{kReceiveCalls}.first(kOfSocketsAlone), call) != 0;
}

// Addresses are the client's; 0: there is no such thing.
struct ClientMessage {
  std::vector<iovec> parts;
  u64 size = 0;  // of all parts
  u64 name = 0;
  int name_size = 0;
  u64 name_size_at = 0;
  u64 control = 0;
  u64 control_size = 0;
  u64 header = 0;     // a struct msghdr
  u64 length_at = 0;  // of one of several messages

  // Of the `index`th message of the call. EFAULT; EMSGSIZE, EINVAL: too many parts.
  static Result<ClientMessage> Of(const TrappedCall& call, unsigned index, ClientMemory& memory);
  // EFAULT.
  Result<std::vector<std::byte>> Gather(ClientMemory& memory) const;
  Result<> Scatter(ClientMemory& memory, std::span<const std::byte> bytes) const;
};

// The flags of the call; 0 where it has none. How many messages it is about.
u32 MessageFlags(const TrappedCall& call);
unsigned MessageCount(const TrappedCall& call);

}  // namespace vfiolab
