// Calls on sockets: those of generic netlink may carry messages of the emulated host's family, and
// others descriptors of its files.
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

#include "preload/answer.hpp"
#include "preload/real.hpp"
#include "preload/socket_calls.hpp"
#include "preload/turn.hpp"
#include "process/guarded_copy.hpp"

using vfiolab::SocketCall;
using vfiolab::u64;
using namespace vfiolab::preload;

namespace {

// Waits where the call does, for as long as it may, until there is a message. The kernel does that
// as ever, with all its signals and timeouts.
bool WaitForMessage(const SocketCall& call, bool only_now) {
  const int now = only_now ? MSG_DONTWAIT : static_cast<int>(call.flags() & MSG_DONTWAIT);
  char none;
  return real(recv)(call.descriptor(), &none, 0, MSG_PEEK | now) >= 0;
}

// The size of the `index`th message; -1.
long ReceiveOne(Host& host, const SocketCall& call, unsigned index, bool only_now) {
  while (WaitForMessage(call, only_now)) {
    const auto received = host.ReceiveNow(call, index);
    // Another thread may have been quicker.
    if (received || received.error().code != EAGAIN) return Answer(received);
  }
  return -1;
}

// net/socket.c do_recvmmsg.
long ReceiveMany(Host& host, const SocketCall& call) {
  using Clock = std::chrono::steady_clock;
  const auto* given = reinterpret_cast<const timespec*>(call.arguments[4]);
  timespec patience{};
  if (given != nullptr && !vfiolab::GuardedCopy(&patience, given, sizeof patience))
    return errno = EFAULT, -1;
  const auto no_more = given == nullptr ? Clock::time_point::max()
                                        : Clock::now() + std::chrono::seconds{patience.tv_sec} +
                                              std::chrono::nanoseconds{patience.tv_nsec};
  unsigned done = 0;
  for (bool only_now = false; done < call.count(); ++done) {
    if (ReceiveOne(host, call, done, only_now) < 0) return done > 0 ? long{done} : -1;
    only_now = (call.flags() & MSG_WAITFORONE) != 0;
    if (Clock::now() >= no_more) return long{done} + 1;
  }
  return done;
}

// Each descriptor that a message carries, which the kernel has taken or filled: so it is there.
template <class Visit>
void VisitDescriptors(const msghdr& message, Visit visit) {
  if (at_work > 0 || Host::SharedDirectory() == nullptr || message.msg_control == nullptr ||
      message.msg_controllen < sizeof(cmsghdr))
    return;
  auto* header = const_cast<msghdr*>(&message);
  for (cmsghdr* part = CMSG_FIRSTHDR(header); part != nullptr; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, reinterpret_cast<const char*>(part) + at, sizeof fd);
      visit(fd);
    }
  }
}

void LendCarried(const msghdr& message) {
  VisitDescriptors(message, [](int fd) {
    if (Host* host = Host::Of(fd)) host->Lend(fd);
  });
}

void AddCarried(const msghdr& message) { VisitDescriptors(message, &Host::AddInherited); }

}  // namespace

namespace vfiolab::preload {

std::optional<long> SendHere(const SocketCall& call) {
  Host* host = Host::OfGenericNetlink(call.descriptor());
  return host == nullptr ? std::nullopt : host->Send(call);
}

std::optional<long> ReceiveHere(const SocketCall& call) {
  Host* host = Host::OfGenericNetlink(call.descriptor());
  if (host == nullptr || (call.flags() & (MSG_OOB | MSG_ERRQUEUE)) != 0) return std::nullopt;
  return call.is_of_many() ? ReceiveMany(*host, call) : ReceiveOne(*host, call, 0, false);
}

}  // namespace vfiolab::preload

VFIOLAB_INTERPOSED int socket(int domain, int type, int protocol) noexcept {
  const int fd = real(socket)(domain, type, protocol);
  if (fd >= 0 && domain == AF_NETLINK && protocol == NETLINK_GENERIC) Host::AddGenericNetlink(fd);
  return fd;
}

// ---- Sends ----

VFIOLAB_INTERPOSED ssize_t sendto(int fd, const void* from, size_t size, int flags,
                                  const sockaddr* to, socklen_t to_size) {
  if (const auto sent = Here(SendHere, SYS_sendto, fd, from, size, flags, to, to_size))
    return *sent;
  return real(sendto)(fd, from, size, flags, to, to_size);
}
VFIOLAB_INTERPOSED ssize_t send(int fd, const void* from, size_t size, int flags) {
  return sendto(fd, from, size, flags, nullptr, 0);
}
VFIOLAB_INTERPOSED ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (const auto ours = Here(SendHere, SYS_sendmsg, fd, message, flags)) return *ours;
  const ssize_t sent = real(sendmsg)(fd, message, flags);
  if (sent >= 0) LendCarried(*message);
  return sent;
}
VFIOLAB_INTERPOSED int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  if (const auto ours = Here(SendHere, SYS_sendmmsg, fd, messages, count, flags))
    return static_cast<int>(*ours);
  const int sent = real(sendmmsg)(fd, messages, count, flags);
  for (int i = 0; i < sent; ++i) LendCarried(messages[i].msg_hdr);
  return sent;
}

// ---- Receives ----

VFIOLAB_INTERPOSED ssize_t recvfrom(int fd, void* to, size_t size, int flags, sockaddr* from,
                                    socklen_t* from_size) {
  if (const auto got = Here(ReceiveHere, SYS_recvfrom, fd, to, size, flags, from, from_size))
    return *got;
  return real(recvfrom)(fd, to, size, flags, from, from_size);
}
VFIOLAB_INTERPOSED ssize_t recv(int fd, void* to, size_t size, int flags) {
  return recvfrom(fd, to, size, flags, nullptr, nullptr);
}
VFIOLAB_INTERPOSED ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if (const auto got = Here(ReceiveHere, SYS_recvmsg, fd, message, flags)) return *got;
  const ssize_t got = real(recvmsg)(fd, message, flags);
  if (got >= 0) AddCarried(*message);
  return got;
}
VFIOLAB_INTERPOSED int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags,
                                timespec* timeout) {
  if (const auto got = Here(ReceiveHere, SYS_recvmmsg, fd, messages, count, flags, timeout))
    return static_cast<int>(*got);
  const int got = real(recvmmsg)(fd, messages, count, flags, timeout);
  for (int i = 0; i < got; ++i) AddCarried(messages[i].msg_hdr);
  return got;
}

// With _FORTIFY_SOURCE a compiler calls these.
VFIOLAB_INTERPOSED ssize_t __recv_chk(int fd, void* to, size_t size, size_t, int flags) {
  return recvfrom(fd, to, size, flags, nullptr, nullptr);
}
VFIOLAB_INTERPOSED ssize_t __recvfrom_chk(int fd, void* to, size_t size, size_t, int flags,
                                          sockaddr* from, socklen_t* from_size) {
  return recvfrom(fd, to, size, flags, from, from_size);
}
