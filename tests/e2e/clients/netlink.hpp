// Generic netlink as a program uses it that has no library for it, and the family "VFIO" of a
// machine with the interface of April 2011.
#pragma once
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <signal.h>
#include <sys/socket.h>

#include <future>
#include <vector>

#include "e2e/clients/client.hpp"

enum {
  kRemove = 1,
  kErrorDetected = 2,
  kMmioEnabled = 3,
  kErrorResume = 6,
  kPmSuspend = 7,
  kPmResume = 8,
  kRegister = 9,
  kErrorReply = 10,
  kSuspendReply = 11,
};

// A message under construction, or one that was received.
struct Message {
  alignas(8) char bytes[8192];
  nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(bytes); }
  int command() const { return bytes[NLMSG_HDRLEN]; }
  int error() const { return *reinterpret_cast<const int*>(bytes + NLMSG_HDRLEN); }

  static Message To(int family, int command, uint32_t sequence, int flags = 0) {
    Message message{};
    message.header() = {NLMSG_LENGTH(GENL_HDRLEN), static_cast<uint16_t>(family),
                        static_cast<uint16_t>(NLM_F_REQUEST | flags), sequence, 0};
    message.bytes[NLMSG_HDRLEN] = static_cast<char>(command);
    message.bytes[NLMSG_HDRLEN + 1] = 1;
    return message;
  }
  Message& Add(int type, const void* data, size_t size) {
    const nlattr attribute{static_cast<uint16_t>(NLA_HDRLEN + size), static_cast<uint16_t>(type)};
    char* end = bytes + header().nlmsg_len;
    memcpy(end, &attribute, sizeof attribute);
    memcpy(end + NLA_HDRLEN, data, size);
    header().nlmsg_len += NLA_ALIGN(attribute.nla_len);
    return *this;
  }
  template <class T>
  Message& Add(int type, T value) {
    return Add(type, &value, sizeof value);
  }
  const char* Find(int type) {
    for (size_t at = NLMSG_HDRLEN + GENL_HDRLEN; at + NLA_HDRLEN <= header().nlmsg_len;) {
      const auto* attribute = reinterpret_cast<const nlattr*>(bytes + at);
      if (attribute->nla_type == type) return bytes + at + NLA_HDRLEN;
      at += NLA_ALIGN(attribute->nla_len);
    }
    return nullptr;
  }
};

inline int OpenSocket() {
  const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  Require(socket >= 0, "socket");
  return socket;
}
inline uint32_t PortOf(int socket) {
  sockaddr_nl at{};
  socklen_t size = sizeof at;
  getsockname(socket, reinterpret_cast<sockaddr*>(&at), &size);
  return at.nl_pid;
}
inline void Send(int socket, Message message) {
  const ssize_t size = message.header().nlmsg_len;
  Require(send(socket, message.bytes, static_cast<size_t>(size), 0) == size, "send");
}
inline Message Receive(int socket, int flags = 0) {
  Message message{};
  Require(recv(socket, message.bytes, sizeof message.bytes, flags) > 0, "recv");
  return message;
}
inline bool IsEmpty(int socket) {
  char byte;
  return recv(socket, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

inline Message AskFor(const char* family, uint32_t sequence) {
  Message message = Message::To(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, sequence);
  return message.Add(CTRL_ATTR_FAMILY_NAME, family, strlen(family) + 1);
}
// Its number, or the errno, negative.
inline int Resolve(int socket, const char* family) {
  Send(socket, AskFor(family, 77));
  Message answer = Receive(socket);
  Expect(answer.header().nlmsg_seq == 77, "the answer has the number of the question");
  if (answer.header().nlmsg_type == NLMSG_ERROR) return answer.error();
  Expect(answer.header().nlmsg_pid == PortOf(socket), "the answer has our port");
  uint16_t id = 0;
  memcpy(&id, answer.Find(CTRL_ATTR_FAMILY_ID), sizeof id);
  return id;
}

inline Message& AddAddress(Message& message) {
  return message.Add(2, uint32_t{0}).Add(3, uint16_t{1}).Add(4, uint8_t{0}).Add(5, uint8_t{0});
}
inline Message Registration(int family, uint32_t sequence, int flags = 0) {
  Message message = Message::To(family, kRegister, sequence, flags);
  return AddAddress(message).Add(1, uint64_t{0x1fe});
}
inline void ExpectAcknowledged(int socket, uint32_t sequence, int error = 0) {
  Message answer = Receive(socket);
  Expect(answer.header().nlmsg_type == NLMSG_ERROR && answer.header().nlmsg_seq == sequence &&
             answer.error() == error,
         "the acknowledgement");
}
inline void Register(int socket, int family) {
  Send(socket, Registration(family, 5, NLM_F_ACK));
  ExpectAcknowledged(socket, 5);
}
inline bool IsEvent(Message& message, int family, int command) {
  return message.header().nlmsg_type == family && message.command() == command &&
         message.Find(3) != nullptr && *message.Find(3) == 1;
}
inline void Agree(int socket, int family) {
  Message reply = Message::To(family, kSuspendReply, 1);
  Send(socket, AddAddress(reply).Add(8, uint32_t{0}));
}
// Waits for what is about an error, and says what the client makes of it.
inline void ExpectError(int socket, int family, int command, uint32_t answer) {
  Message event = Receive(socket);
  Expect(IsEvent(event, family, command), "the next step of an error");
  Message reply = Message::To(family, kErrorReply, event.header().nlmsg_seq);
  Send(socket, AddAddress(reply).Add(7, answer));
}

// Writes to a file of the machine after a while, in a thread that takes no signals; whether that
// was well.
inline std::future<bool> WriteLater(const char* path, const char* text, int milliseconds = 0) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  auto written = std::async(std::launch::async, [=] {
    usleep(static_cast<useconds_t>(milliseconds) * 1000);
    const int file = open(path, O_WRONLY);
    Require(file >= 0, path);
    const bool well = write(file, text, strlen(text)) == static_cast<ssize_t>(strlen(text));
    close(file);
    return well;
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return written;
}
inline std::future<bool> FallAsleep(int milliseconds = 0) {
  return WriteLater("/sys/power/state", "mem", milliseconds);
}
