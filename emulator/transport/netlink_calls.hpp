// One family more in the generic netlink of clients, whose kernel does not have it. What they send
// to it, and what they ask the controller about it, is answered here; all else is the kernel's.
#pragma once
#include "transport/netlink_controller.hpp"
#include "transport/netlink_receives.hpp"
#include "transport/netlink_sockets.hpp"

namespace vfiolab {

// In the core's turn.
class NetlinkCalls final : private NetlinkOutlet {
 public:
  // `family` outlives this, and sends its messages through it.
  NetlinkCalls(EventLoop& loop, FileCalls& calls, NetlinkFamily& family);
  ~NetlinkCalls() override { family_.set_outlet(nullptr); }

  // Makes a call on the socket that `found` tells of. False: it is the kernel's.
  bool Take(const std::shared_ptr<TrappedCall>& call, const struct statx& found);

 private:
  struct Datagram;

  // NetlinkOutlet
  bool Send(const NetlinkFamily& family, const NetlinkPeer& to, const NetlinkEvent& event) override;

  bool TakeSend(const std::shared_ptr<TrappedCall>& call, const NetlinkSocket& socket,
                const struct statx& found);
  bool TakeReceive(const std::shared_ptr<TrappedCall>& call, NetlinkSocket socket);
  std::vector<Datagram> ReadDatagrams(const TrappedCall& call, const NetlinkSocket& socket);
  Result<Datagram> ReadDatagram(const ClientMessage& from, const NetlinkSocket& socket,
                                ClientMemory& memory) const;
  bool Wants(const Datagram& datagram, NetlinkController::Claim claim) const;
  void Deliver(const TrappedCall& call, const NetlinkSocket& socket, const Datagram& datagram);
  void Answer(const TrappedCall& call, const NetlinkSocket& socket, const NetlinkMessage& request,
              NetlinkController::Claim claim);

  EventLoop& loop_;
  CallerServices& services_;
  NetlinkFamily& family_;
  NetlinkController controller_;
  NetlinkSockets sockets_;
  NetlinkReceives receives_;
};

}  // namespace vfiolab
