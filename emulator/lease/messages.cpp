#include "lease/messages.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace vfiolab::lease {

FileFacts FileFacts::Of(const OpenFile& file) {
  return {.size = file.size(),
          .is_regular = file.is_regular(),
          .has_node = file.has_node(),
          .can_poll = file.can_poll(),
          .takes_offsets = file.takes_offsets(),
          .can_transfer = file.can_transfer()};
}

bool Channel::SendParts(std::span<const std::byte> head, std::span<const std::byte> bytes,
                        int descriptor) {
  std::array<iovec, 2> parts{{{const_cast<std::byte*>(head.data()), head.size()},
                              {const_cast<std::byte*>(bytes.data()), bytes.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  gone_ = gone_ || sent < 0;
  return sent >= 0;
}

// A message is as large as its head and the longest part of a read.
bool Channel::ReceiveParts(std::span<std::byte> head, std::vector<std::byte>& bytes,
                           UniqueFd& descriptor, bool waits) {
  constexpr std::size_t kMost = 64_KiB;
  bytes.resize(kMost);
  std::array<iovec, 2> parts{{{head.data(), head.size()}, {bytes.data(), bytes.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  int got = -1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof got)] = {};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  // To be woken takes longer than most answers.
  const auto awake = std::chrono::steady_clock::now() + (waits ? kAwake : kAwake.zero());
  ssize_t size = 0;
  bool sleeps = false;
  do {
    sleeps = waits && std::chrono::steady_clock::now() >= awake;
    size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | (sleeps ? 0 : MSG_DONTWAIT));
  } while (size < 0 && (errno == EINTR || (errno == EAGAIN && waits && !sleeps)));
  if (size < 0 && errno == EAGAIN) return false;
  gone_ = size < static_cast<ssize_t>(head.size());
  if (gone_) return false;
  bytes.resize(static_cast<std::size_t>(size) - head.size());
  const cmsghdr* rights = CMSG_FIRSTHDR(&message);
  if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
    std::memcpy(&got, CMSG_DATA(rights), sizeof got);
    descriptor.Reset(got);
  }
  return true;
}

}  // namespace vfiolab::lease
