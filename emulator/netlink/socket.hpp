// A client's socket of generic netlink, by a copy of its descriptor; and messages of ours in its
// receive queue, which nobody but the kernel could put there: a request of a type that no family
// can have is sent on the copy, and the kernel refuses it. Its NLMSG_ERROR has the whole request
// behind 36 bytes, and in it our message. Such a carrier waits, wakes, overruns and goes with the
// socket as any message of the kernel; who takes it out has to unwrap it.
#pragma once
#include <sys/socket.h>
#include <sys/types.h>

#include <chrono>
#include <optional>

#include "base/bytes.hpp"
#include "base/unique_fd.hpp"
#include "vfs/netlink.hpp"

namespace vfiolab {

// To be kept during a call alone: it keeps the port, and the memberships. Nobody but this may set
// its flags, which are the client's, too.
class NetlinkSocket {
 public:
  // By which carriers are told from what a client might send itself. Processes that use the same
  // sockets have the same; else a random one.
  static void SetMagic(u32 magic);

  // Nothing where it is another kind of file.
  static std::optional<NetlinkSocket> Of(UniqueFd& copy);

  int fd() const { return fd_.get(); }
  u64 cookie() const;  // never given twice
  u64 inode() const;
  NetlinkPeer peer() const;
  // Whether calls may wait (O_NONBLOCK is not set), and for how long; nothing: without end.
  bool blocks() const;
  std::optional<std::chrono::microseconds> receive_timeout() const;
  bool HasMessage() const;
  int Option(int level, int name) const;

  // What the kernel does with the first message that is sent: ours may be the first. `tid` sends.
  void Bind(pid_t tid) const;
  // Puts `message` into the queue. False: there is no room, which the client will be told, too.
  bool Queue(std::span<const std::byte> message) const;

  static constexpr std::size_t kCarrierHead = 36;  // nlmsghdr, errno, nlmsghdr of the request
  // Whether these are the first bytes of a carrier; kCarrierHead of them are enough.
  static bool IsCarrier(std::span<const std::byte> bytes);

 private:
  explicit NetlinkSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  template <class T>
  T Get(int level, int name) const {
    T value{};
    socklen_t size = sizeof value;
    ::getsockopt(fd_.get(), level, name, &value, &size);
    return value;
  }
  u32 drops() const;

  UniqueFd fd_;
};

}  // namespace vfiolab
