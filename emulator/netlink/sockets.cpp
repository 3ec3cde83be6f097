#include "netlink/sockets.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <tuple>

#include "process/caller.hpp"
#include "process/thread_status.hpp"

namespace vfiolab {
namespace {

// The inode of the socket that a link in /proc/PID/fd leads to; 0: it is no socket.
u64 SocketOf(const std::string& link) {
  constexpr std::string_view kPrefix = "socket:[";
  char target[64] = {};
  if (::readlink(link.c_str(), target, sizeof target - 1) < 0) return 0;
  if (!std::string_view(target).starts_with(kPrefix)) return 0;
  return std::strtoull(target + kPrefix.size(), nullptr, 10);
}

}  // namespace

void NetlinkSockets::Learn(const NetlinkSocket& socket, pid_t tid, int fd) {
  constexpr std::size_t kMost = 65536;
  const u64 cookie = socket.cookie();
  const NetlinkPeer peer = socket.peer();
  if (peer.port != 0) places_[peer] = {cookie, socket.inode(), tid, fd};
  if (!known_.insert(cookie).second) return;
  oldest_.push_back(cookie);
  if (oldest_.size() <= kMost) return;
  known_.erase(oldest_.front());
  std::erase_if(places_, [&](const auto& at) { return at.second.cookie == oldest_.front(); });
  oldest_.pop_front();
}

std::optional<NetlinkSocket> NetlinkSockets::CopyFrom(const Place& place) {
  const std::string link = fmt::format("/proc/{}/fd/{}", place.tid, place.fd);
  if (SocketOf(link) != place.inode) return std::nullopt;
  auto copy = DuplicateDescriptor(place.tid, place.fd);
  if (!copy) return std::nullopt;
  auto socket = NetlinkSocket::Of(*copy);
  if (socket && socket->cookie() != place.cookie) socket.reset();
  return socket;
}

void NetlinkSockets::LookForHolders() {
  holders_.clear();
  for (const int process : NumbersIn("/proc")) {
    const std::string directory = fmt::format("/proc/{}/fd", process);
    for (const int fd : NumbersIn(directory))
      if (const u64 inode = SocketOf(fmt::format("{}/{}", directory, fd)))
        holders_.try_emplace(inode, process, fd);
  }
  looked_ = std::chrono::steady_clock::now();
}

// It may have been handed on, or duplicated.
bool NetlinkSockets::FindHolder(Place& place) {
  constexpr std::chrono::milliseconds kFresh{20};
  if (std::chrono::steady_clock::now() - looked_ > kFresh) LookForHolders();
  const auto holder = holders_.find(place.inode);
  if (holder == holders_.end()) return false;
  std::tie(place.tid, place.fd) = holder->second;
  return true;
}

std::optional<NetlinkSocket> NetlinkSockets::Find(const NetlinkPeer& peer) {
  const auto known = places_.find(peer);
  if (known == places_.end()) return std::nullopt;
  auto socket = CopyFrom(known->second);
  if (!socket && FindHolder(known->second)) socket = CopyFrom(known->second);
  if (!socket) places_.erase(known);
  return socket;
}

}  // namespace vfiolab
