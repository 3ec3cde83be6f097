#include "netlink/socket.hpp"

#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <climits>

#include "process/thread_status.hpp"

namespace vfiolab {
namespace {

constexpr u16 kCarrierType = 0xfe10;  // families have types up to GENL_MAX_ID
static_assert(kCarrierType > GENL_MAX_ID);

u32 Random() {
  u32 value = 0;
  while (::getrandom(&value, sizeof value, 0) != sizeof value) continue;
  return value;
}

u32& Magic() {
  static u32 magic = Random();
  return magic;
}

nlmsghdr CarrierHeader(std::size_t size) {
  return {static_cast<u32>(NLMSG_HDRLEN + size), kCarrierType, NLM_F_REQUEST, Magic(), ~Magic()};
}

}  // namespace

void NetlinkSocket::SetMagic(u32 magic) { Magic() = magic; }

std::optional<NetlinkSocket> NetlinkSocket::Of(UniqueFd& copy) {
  NetlinkSocket socket(std::move(copy));
  if (socket.Option(SOL_SOCKET, SO_DOMAIN) == AF_NETLINK &&
      socket.Option(SOL_SOCKET, SO_PROTOCOL) == NETLINK_GENERIC)
    return socket;
  copy = std::move(socket.fd_);
  return std::nullopt;
}

int NetlinkSocket::Option(int level, int name) const { return Get<int>(level, name); }

u64 NetlinkSocket::cookie() const { return Get<u64>(SOL_SOCKET, SO_COOKIE); }

u64 NetlinkSocket::inode() const {
  struct stat found {};
  return ::fstat(fd_.get(), &found) == 0 ? found.st_ino : 0;
}

NetlinkPeer NetlinkSocket::peer() const {
  sockaddr_nl at{};
  socklen_t size = sizeof at;
  ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &size);
  constexpr int kNetnsCookie = 71;  // SO_NETNS_COOKIE, Linux 5.14
  return {Get<u64>(SOL_SOCKET, kNetnsCookie), at.nl_pid};
}

bool NetlinkSocket::blocks() const { return (::fcntl(fd_.get(), F_GETFL) & O_NONBLOCK) == 0; }

std::optional<std::chrono::microseconds> NetlinkSocket::receive_timeout() const {
  const auto timeout = Get<timeval>(SOL_SOCKET, SO_RCVTIMEO);
  if (timeout.tv_sec == 0 && timeout.tv_usec == 0) return std::nullopt;
  return std::chrono::seconds{timeout.tv_sec} + std::chrono::microseconds{timeout.tv_usec};
}

bool NetlinkSocket::HasMessage() const {
  pollfd state{fd_.get(), POLLIN, 0};
  return ::poll(&state, 1, 0) > 0;
}

// net/netlink/af_netlink.c netlink_autobind.
void NetlinkSocket::Bind(pid_t tid) const {
  sockaddr_nl at{};
  socklen_t size = sizeof at;
  auto* address = reinterpret_cast<sockaddr*>(&at);
  if (::getsockname(fd_.get(), address, &size) != 0 || at.nl_pid != 0) return;
  // With the groups that it has: to bind without them would leave these.
  at.nl_pid = ThreadStatus(tid).own_process();
  constexpr u32 kSpan = 0x80000000u - 4096u;
  while (::bind(fd_.get(), address, sizeof at) != 0 && errno == EADDRINUSE)
    at.nl_pid = static_cast<u32>(INT_MIN) + Random() % kSpan;
}

u32 NetlinkSocket::drops() const {
  return Get<std::array<u32, SK_MEMINFO_VARS>>(SOL_SOCKET, SO_MEMINFO)[SK_MEMINFO_DROPS];
}

bool NetlinkSocket::Queue(std::span<const std::byte> message) const {
  nlmsghdr header = CarrierHeader(message.size());
  std::array<iovec, 2> parts{
      {{&header, sizeof header}, {const_cast<std::byte*>(message.data()), message.size()}}};
  sockaddr_nl kernel{.nl_family = AF_NETLINK};  // named, as the client may have connected it
  msghdr out{};
  out.msg_name = &kernel;
  out.msg_namelen = sizeof kernel;
  out.msg_iov = parts.data();
  out.msg_iovlen = parts.size();
  // With it the answer would not have the request.
  const int capped = Option(SOL_NETLINK, NETLINK_CAP_ACK);
  const int off = 0;
  if (capped != 0) ::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_CAP_ACK, &off, sizeof off);
  const u32 before = drops();
  const ssize_t sent = ::sendmsg(fd_.get(), &out, MSG_DONTWAIT);
  if (capped != 0) ::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_CAP_ACK, &capped, sizeof capped);
  return sent >= 0 && drops() == before;
}

bool NetlinkSocket::IsCarrier(std::span<const std::byte> bytes) {
  struct {
    nlmsghdr answer;
    int error;
    nlmsghdr request;
  } head;
  static_assert(sizeof head == kCarrierHead);
  if (bytes.size() < sizeof head) return false;
  std::memcpy(&head, bytes.data(), sizeof head);
  return head.answer.nlmsg_type == NLMSG_ERROR && head.request.nlmsg_type == kCarrierType &&
         head.request.nlmsg_seq == Magic() && head.request.nlmsg_pid == ~Magic();
}

}  // namespace vfiolab
