#include "netlink/controller.hpp"

#include <linux/genetlink.h>

#include <array>

namespace vfiolab {
namespace {

void Append(NetlinkBytes& to, std::span<const std::byte> from) {
  to.insert(to.end(), from.begin(), from.end());
}

NetlinkBytes Message(nlmsghdr header, const genlmsghdr& generic,
                     const NetlinkAttributes& attributes) {
  header.nlmsg_len = static_cast<u32>(NLMSG_HDRLEN + GENL_HDRLEN + attributes.bytes().size());
  NetlinkBytes bytes;
  Append(bytes, BytesOf(header));
  Append(bytes, BytesOf(generic));
  Append(bytes, attributes.bytes());
  return bytes;
}

std::string_view TextOf(std::span<const std::byte> data) {
  const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  return text.substr(0, text.find('\0'));
}

bool IsFree(int socket, u16 id) {
  const NetlinkBytes request =
      Message({.nlmsg_type = GENL_ID_CTRL, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = id},
              {CTRL_CMD_GETFAMILY, 1, 0}, NetlinkAttributes().Add(CTRL_ATTR_FAMILY_ID, id));
  if (::send(socket, request.data(), request.size(), 0) < 0) return false;
  struct {
    nlmsghdr header;
    int error;
    std::byte rest[4096];
  } answer{};
  return ::recv(socket, &answer, sizeof answer, 0) > 0 && answer.header.nlmsg_type == NLMSG_ERROR &&
         answer.error == -ENOENT;
}

}  // namespace

std::optional<NetlinkMessage> TakeMessage(std::span<const std::byte>& datagram) {
  if (datagram.size() < NLMSG_HDRLEN) return std::nullopt;
  NetlinkMessage message{};
  std::memcpy(&message.header, datagram.data(), sizeof message.header);
  const std::size_t size = message.header.nlmsg_len;
  if (size < NLMSG_HDRLEN || size > datagram.size()) return std::nullopt;
  message.bytes = datagram.first(size);
  datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(size), datagram.size()));
  return message;
}

// From the top: the kernel gives them from the bottom.
NetlinkController::NetlinkController(const NetlinkFamily& family) : family_(family) {
  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  for (u16 id = GENL_MAX_ID; socket && id >= GENL_START_ALLOC && id_ == 0; --id)
    if (IsFree(socket.get(), id)) id_ = id;
}

// genetlink.c ctrl_getfamily: a name counts more than a number.
bool NetlinkController::IsAbout(std::span<const std::byte> attributes) const {
  if (const auto name = FindAttribute(attributes, CTRL_ATTR_FAMILY_NAME))
    return TextOf(*name) == family_.name();
  const auto id = FindAttribute(attributes, CTRL_ATTR_FAMILY_ID);
  return id && id->size() >= sizeof id_ && LoadLittleEndian(id->first(sizeof id_)) == id_;
}

NetlinkController::Claim NetlinkController::ClaimOf(const NetlinkMessage& request) const {
  const nlmsghdr& header = request.header;
  // One that is no request is not looked at.
  if (id_ == 0 || (header.nlmsg_flags & NLM_F_REQUEST) == 0) return Claim::kKernel;
  if (header.nlmsg_type == id_) return Claim::kFamily;
  constexpr std::size_t kHeaders = NLMSG_HDRLEN + GENL_HDRLEN;
  if (header.nlmsg_type != GENL_ID_CTRL || request.bytes.size() < kHeaders ||
      request.bytes[NLMSG_HDRLEN] != std::byte{CTRL_CMD_GETFAMILY})
    return Claim::kKernel;
  if ((header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) return Claim::kDump;
  return IsAbout(request.bytes.subspan(kHeaders)) ? Claim::kControl : Claim::kKernel;
}

NetlinkBytes NetlinkController::Describe(const NetlinkMessage& request, u32 port, u16 flags) const {
  NetlinkAttributes operations;
  u16 number = 0;
  for (const u8 command : family_.commands())
    operations.Add(++number,
                   NetlinkAttributes()
                       .Add(CTRL_ATTR_OP_ID, u32{command})
                       .Add(CTRL_ATTR_OP_FLAGS, u32{GENL_CMD_CAP_DO} | u32{GENL_CMD_CAP_HASPOL}));
  NetlinkAttributes attributes;
  attributes.Add(CTRL_ATTR_FAMILY_NAME, family_.name())
      .Add(CTRL_ATTR_FAMILY_ID, id_)
      .Add(CTRL_ATTR_VERSION, u32{family_.version()})
      .Add(CTRL_ATTR_HDRSIZE, u32{0})
      .Add(CTRL_ATTR_MAXATTR, family_.max_attribute())
      .Add(CTRL_ATTR_OPS, operations);
  constexpr u8 kVersion = 2;  // of the controller
  return Message({.nlmsg_type = GENL_ID_CTRL,
                  .nlmsg_flags = flags,
                  .nlmsg_seq = request.header.nlmsg_seq,
                  .nlmsg_pid = port},
                 {CTRL_CMD_NEWFAMILY, kVersion, 0}, attributes);
}

// af_netlink.c netlink_ack.
NetlinkBytes NetlinkController::Acknowledge(const NetlinkMessage& request,
                                            const NetlinkSocket& socket, int error) {
  const bool whole = error != 0 && socket.Option(SOL_NETLINK, NETLINK_CAP_ACK) == 0;
  const auto kept = whole ? request.bytes : request.bytes.first(NLMSG_HDRLEN);
  const int code = -error;
  const nlmsghdr header{static_cast<u32>(NLMSG_HDRLEN + sizeof code + kept.size()), NLMSG_ERROR,
                        static_cast<u16>(whole ? 0 : NLM_F_CAPPED), request.header.nlmsg_seq,
                        socket.peer().port};
  NetlinkBytes bytes;
  Append(bytes, BytesOf(header));
  Append(bytes, BytesOf(code));
  Append(bytes, kept);
  return bytes;
}

NetlinkBytes NetlinkController::Build(const NetlinkEvent& event) const {
  return Message({.nlmsg_type = id_, .nlmsg_seq = event.sequence},
                 {event.command, family_.version(), 0}, event.attributes);
}

}  // namespace vfiolab
