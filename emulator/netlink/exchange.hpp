// One family more in the generic netlink of clients, whose kernel does not have it. What they send
// to it, and what they ask the controller about it, is answered here; all else is the kernel's.
#pragma once
#include <functional>

#include "netlink/controller.hpp"
#include "netlink/socket_call.hpp"
#include "netlink/sockets.hpp"

namespace vfiolab {

// In the core's turn.
class NetlinkExchange final : private NetlinkOutlet {
 public:
  // Brings a message of a thread before the family.
  using Handle = std::function<Result<>(pid_t tid, const NetlinkRequest& request)>;

  // `family` outlives this, and sends its messages through it.
  NetlinkExchange(NetlinkFamily& family, Handle handle);
  ~NetlinkExchange() override { family_.set_outlet(nullptr); }

  // Whether there is a generic netlink to have a part in.
  bool takes_part() const { return controller_.id() != 0; }
  // Whether there may be messages of ours in the socket.
  bool Knows(const NetlinkSocket& socket) const { return sockets_.Knows(socket); }

  struct Datagram {
    NetlinkBytes bytes;
    u64 length_at;  // in the client, of one of several
  };
  // What the call sends, as far as it can be read; nothing where it is all the kernel's.
  std::vector<Datagram> Read(const SocketCall& call, const NetlinkSocket& socket,
                             ClientMemory& memory) const;
  // Sends them. The call's value; nothing: the kernel has to see the call, too.
  std::optional<long> Send(const SocketCall& call, const NetlinkSocket& socket,
                           const std::vector<Datagram>& datagrams, ClientMemory& memory);

 private:
  // NetlinkOutlet
  bool Send(const NetlinkFamily& family, const NetlinkPeer& to, const NetlinkEvent& event) override;

  bool Wants(const std::vector<Datagram>& datagrams, NetlinkController::Claim claim) const;
  void Deliver(pid_t tid, const NetlinkSocket& socket, const Datagram& datagram);
  void Answer(pid_t tid, const NetlinkSocket& socket, const NetlinkMessage& request,
              NetlinkController::Claim claim);

  NetlinkFamily& family_;
  Handle handle_;
  NetlinkController controller_;
  NetlinkSockets sockets_;
};

}  // namespace vfiolab
