// Clients' calls on sockets of generic netlink that have to do with a family of ours.
#pragma once
#include <set>

#include "netlink/exchange.hpp"
#include "transport/netlink_receives.hpp"
#include "transport/side_thread.hpp"

namespace vfiolab {

// In the core's turn.
class NetlinkCalls {
 public:
  // `family` outlives this.
  NetlinkCalls(EventLoop& loop, FileCalls& calls, NetlinkFamily& family);

  // Makes a call on the socket that `found` tells of. False: it is the kernel's.
  bool Take(const std::shared_ptr<TrappedCall>& call, const struct statx& found);

 private:
  // A copy of that socket for a call; nothing where it is not of generic netlink.
  std::optional<NetlinkSocket> Copy(const TrappedCall& call, const struct statx& found);
  bool TakeSend(TrappedCall& call, const NetlinkSocket& socket);
  bool TakeReceive(const std::shared_ptr<TrappedCall>& call, NetlinkSocket socket);

  CallerServices& services_;
  NetlinkExchange exchange_;
  NetlinkReceives receives_;
  // Inodes of other sockets: each call on one comes here.
  std::set<u64> foreign_;
  // To close a copy may take long, where the client has closed its own meanwhile.
  SideThread closer_;
};

}  // namespace vfiolab
