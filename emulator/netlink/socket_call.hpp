// The system calls that send or receive, and the buffers that a client names in them.
#pragma once
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <vector>

#include "client/client_memory.hpp"

namespace vfiolab {

// The first three of each are of sockets alone.
constexpr std::array kSendCalls{SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_write, SYS_writev};
constexpr std::array kReceiveCalls{SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_read, SYS_readv};
constexpr std::size_t kOfSocketsAlone = 3;
constexpr bool IsOfSocketsAlone(int call) {
  return std::ranges::count(std::span{kSendCalls}.first(kOfSocketsAlone), call) != 0 ||
         std::ranges::count(std::span{kReceiveCalls}.first(kOfSocketsAlone), call) != 0;
}

// One of them, as the kernel gets it.
struct SocketCall {
  int number = 0;
  pid_t tid = 0;  // who makes it
  std::array<u64, 6> arguments{};

  int descriptor() const { return static_cast<int>(arguments[0]); }
  // 0 where it has none.
  u32 flags() const;
  bool is_of_many() const { return number == SYS_sendmmsg || number == SYS_recvmmsg; }
  // How many messages it is about.
  unsigned count() const;
};

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
  static Result<ClientMessage> Of(const SocketCall& call, unsigned index, ClientMemory& memory);
  // EFAULT.
  Result<std::vector<std::byte>> Gather(ClientMemory& memory) const;
  Result<> Scatter(ClientMemory& memory, std::span<const std::byte> bytes) const;
};

}  // namespace vfiolab
