// What the controller of generic netlink says of a family that the kernel does not have, and what
// the kernel says of messages (net/netlink/genetlink.c, af_netlink.c).
#pragma once
#include <linux/netlink.h>

#include "netlink/socket.hpp"

namespace vfiolab {

// Messages as they lie in what a client has sent or shall get.
using NetlinkBytes = std::vector<std::byte>;

// One message of a client: its header, and the whole of it.
struct NetlinkMessage {
  nlmsghdr header;
  std::span<const std::byte> bytes;
};
// Goes through the messages of a datagram as netlink_rcv_skb() does. Nothing: no more.
std::optional<NetlinkMessage> TakeMessage(std::span<const std::byte>& datagram);

class NetlinkController {
 public:
  // The family gets a number that the kernel has not given to another.
  explicit NetlinkController(const NetlinkFamily& family);

  // 0: there is no generic netlink here.
  u16 id() const { return id_; }

  enum class Claim {
    kKernel,   // it is the kernel's
    kFamily,   // for the family
    kControl,  // asks the controller for the family
    kDump,     // asks for all families: both have to answer
  };
  Claim ClaimOf(const NetlinkMessage& request) const;

  // What the controller answers; `flags` of its header: NLM_F_MULTI in a list.
  NetlinkBytes Describe(const NetlinkMessage& request, u32 port, u16 flags) const;
  // An acknowledgement; `error` is positive.
  static NetlinkBytes Acknowledge(const NetlinkMessage& request, const NetlinkSocket& socket,
                                  int error);
  NetlinkBytes Build(const NetlinkEvent& event) const;

 private:
  bool IsAbout(std::span<const std::byte> attributes) const;

  const NetlinkFamily& family_;
  u16 id_ = 0;
};

}  // namespace vfiolab
