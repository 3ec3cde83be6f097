// Calls of this process on its sockets of generic netlink, in which the emulated host has a family
// more than the real one.
#pragma once
#include <optional>

#include "emulated_host/emulated_host.hpp"
#include "in_process/own_caller.hpp"
#include "netlink/exchange.hpp"

namespace vfiolab::in_process {

class Sockets {
 public:
  // All of them outlive this.
  Sockets(EmulatedHost& host, OwnProcess& process, std::function<Time()> now)
      : host_(host), process_(process), now_(std::move(now)) {}

  // Whether the descriptor is one of generic netlink.
  static bool IsGeneric(int fd);

  // The call's value; nothing: the kernel has to make the call.
  std::optional<long> Send(const SocketCall& call);
  // The same of another process.
  std::optional<long> Send(const SocketCall& call, const NetlinkSocket& socket,
                           ClientMemory& memory);
  // The `index`th message of the call; the number of its bytes. EAGAIN: there is none now. Needs no
  // turn.
  Result<long> ReceiveNow(const SocketCall& call, unsigned index);

 private:
  EmulatedHost& host_;
  OwnProcess& process_;
  std::function<Time()> now_;
  std::optional<NetlinkExchange> exchange_;
};

}  // namespace vfiolab::in_process
