// Receives on sockets of generic netlink, whose carriers come out unwrapped.
#pragma once
#include "netlink/socket.hpp"
#include "netlink/socket_call.hpp"

namespace vfiolab {

// One message of the socket's for the client, who gets what the kernel would give it with `flags`;
// the call's value. EAGAIN: there is none now. EFAULT: it is lost.
Result<long> ReceiveNow(const NetlinkSocket& socket, const ClientMessage& target, u32 flags,
                        ClientMemory& memory);

}  // namespace vfiolab
