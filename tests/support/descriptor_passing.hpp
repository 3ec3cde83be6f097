// Descriptors that client processes hand to each other over a socket (SCM_RIGHTS).
#pragma once
#include <sys/socket.h>

#include <cstring>

// False when the other end is gone. `byte` goes with it.
inline bool SendDescriptor(int socket, int fd, char byte = 0, int flags = 0) {
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket, &message, flags | MSG_NOSIGNAL) == 1;
}

// -1 when none came. `flags` of recvmsg; `byte` is what came with it.
inline int ReceiveDescriptor(int socket, int flags, char* byte = nullptr) {
  char ignored = 0;
  iovec data{byte != nullptr ? byte : &ignored, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(socket, &message, flags) <= 0) return -1;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  int fd = -1;
  if (header != nullptr) std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}
