// The seam between transports and protocols for messages: a family of generic netlink, as the
// kernel means it (net/netlink/genetlink.c).
#pragma once
#include <concepts>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace vfiolab {

// A port in a network namespace: whichever socket has it when a message comes.
struct NetlinkPeer {
  u64 net = 0;
  u32 port = 0;
  auto operator<=>(const NetlinkPeer&) const = default;
};

// Attributes as they lie in a message, one behind the other, each padded to 4 bytes.
class NetlinkAttributes {
 public:
  NetlinkAttributes& Add(u16 type, std::span<const std::byte> data);
  NetlinkAttributes& Add(u16 type, std::integral auto value) { return Add(type, BytesOf(value)); }
  NetlinkAttributes& Add(u16 type, std::string_view text);  // with the zero at its end
  NetlinkAttributes& Add(u16 type, const NetlinkAttributes& nested) {
    return Add(type, nested.bytes());
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// What the attribute of that type holds; of several the last one counts (lib/nlattr.c nla_parse).
std::optional<std::span<const std::byte>> FindAttribute(std::span<const std::byte> attributes,
                                                        u16 type);

// A message of a client, with what is behind its nlmsghdr.
struct NetlinkRequest {
  NetlinkPeer from;
  u32 sequence = 0;
  u16 flags = 0;
  std::span<const std::byte> payload;
};

// A message that nobody has asked for.
struct NetlinkEvent {
  u32 sequence = 0;
  u8 command = 0;
  NetlinkAttributes attributes;
};

class NetlinkFamily;

// How messages leave; a transport implements it.
class NetlinkOutlet {
 public:
  virtual ~NetlinkOutlet() = default;
  // False: no socket has the port any more, or it takes no more messages.
  virtual bool Send(const NetlinkFamily& family, const NetlinkPeer& to,
                    const NetlinkEvent& event) = 0;
};

class NetlinkFamily {
 public:
  virtual ~NetlinkFamily() = default;
  virtual std::string_view name() const = 0;
  virtual u8 version() const = 0;
  virtual u32 max_attribute() const = 0;
  virtual std::vector<u8> commands() const = 0;  // those that clients may send
  // The errno that the sender is told; 0 where it has asked for it.
  virtual Result<> Handle(const NetlinkRequest& request) = 0;

  // Null, as at first: no message leaves.
  void set_outlet(NetlinkOutlet* outlet) { outlet_ = outlet; }

 protected:
  bool Send(const NetlinkPeer& to, const NetlinkEvent& event) {
    return outlet_ != nullptr && outlet_->Send(*this, to, event);
  }

 private:
  NetlinkOutlet* outlet_ = nullptr;
};

}  // namespace vfiolab
