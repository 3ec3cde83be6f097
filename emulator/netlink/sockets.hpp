// The sockets of clients that have to do with our family.
#pragma once
#include <chrono>
#include <deque>
#include <map>
#include <set>

#include "netlink/socket.hpp"

namespace vfiolab {

// In the core's turn.
class NetlinkSockets {
 public:
  // Whether our family has ever put something into it, or may have.
  bool Knows(const NetlinkSocket& socket) const { return known_.contains(socket.cookie()); }
  // From now on it may. `fd` of `tid` is its descriptor.
  void Learn(const NetlinkSocket& socket, pid_t tid, int fd);

  // A copy of a socket that is known, as long as a process has it.
  std::optional<NetlinkSocket> Find(const NetlinkPeer& peer);

 private:
  struct Place {
    u64 cookie;
    u64 inode;
    pid_t tid;
    int fd;
  };
  static std::optional<NetlinkSocket> CopyFrom(const Place& place);
  bool FindHolder(Place& place);
  void LookForHolders();

  std::set<u64> known_;  // cookies
  std::deque<u64> oldest_;
  std::map<NetlinkPeer, Place> places_;
  // Who has which socket, by inode, as it was not long ago: to look takes a while, and a client may
  // have left many that are closed.
  std::map<u64, std::pair<pid_t, int>> holders_;
  std::chrono::steady_clock::time_point looked_{};
};

}  // namespace vfiolab
