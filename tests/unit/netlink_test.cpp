// Messages of generic netlink: attributes, the controller's answers, and carriers in a socket of
// this very process.
#include <linux/genetlink.h>
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "process/thread_status.hpp"
#include "netlink/controller.hpp"

using namespace vfiolab;

namespace {

struct SomeFamily final : NetlinkFamily {
  std::string_view name() const override { return "SOME"; }
  u8 version() const override { return 3; }
  u32 max_attribute() const override { return 5; }
  std::vector<u8> commands() const override { return {9, 10}; }
  Result<> Handle(const NetlinkRequest&) override { return {}; }
};

NetlinkSocket OpenSocket() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  auto socket = NetlinkSocket::Of(fd);
  REQUIRE(socket);
  return std::move(*socket);
}

NetlinkBytes Receive(const NetlinkSocket& socket) {
  NetlinkBytes bytes(4096);
  const ssize_t size = ::recv(socket.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return bytes;
}

NetlinkBytes Request(u16 type, u8 command, const NetlinkAttributes& attributes, u16 flags = 0) {
  const nlmsghdr header{static_cast<u32>(NLMSG_HDRLEN + GENL_HDRLEN + attributes.bytes().size()),
                        type, static_cast<u16>(NLM_F_REQUEST | flags), 7, 0};
  const genlmsghdr generic{command, 1, 0};
  NetlinkBytes bytes;
  for (const auto part : {BytesOf(header), BytesOf(generic), attributes.bytes()})
    bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

NetlinkMessage First(const NetlinkBytes& bytes) {
  std::span<const std::byte> left = bytes;
  return *TakeMessage(left);
}

}  // namespace

TEST_CASE("Attributes are padded to four bytes, and the last of a type counts", "[netlink]") {
  NetlinkAttributes attributes;
  attributes.Add(1, u8{7}).Add(2, std::string_view("abc")).Add(1, u16{9});
  CHECK(attributes.bytes().size() == 8 + 8 + 8);
  CHECK(LoadLittleEndian(*FindAttribute(attributes.bytes(), 1)) == 9);
  CHECK(FindAttribute(attributes.bytes(), 2)->size() == 4);
  CHECK_FALSE(FindAttribute(attributes.bytes(), 3));
}

TEST_CASE("An attribute that is longer than the message is none", "[netlink]") {
  NetlinkAttributes attributes;
  attributes.Add(1, u32{1}).Add(2, u32{2});
  for (std::size_t size = 8; size < 16; ++size)
    CHECK_FALSE(FindAttribute(attributes.bytes().first(size), 2));
  CHECK(FindAttribute(attributes.bytes().first(8), 1));
}

TEST_CASE("A datagram ends where no whole message is left", "[netlink]") {
  NetlinkBytes two = Request(20, 1, {});
  const NetlinkBytes second = Request(21, 1, {});
  two.insert(two.end(), second.begin(), second.end() - 1);
  std::span<const std::byte> left = two;
  CHECK(TakeMessage(left)->header.nlmsg_type == 20);
  CHECK_FALSE(TakeMessage(left));
}

TEST_CASE("Only what asks for the family is claimed", "[netlink]") {
  using Claim = NetlinkController::Claim;
  SomeFamily family;
  const NetlinkController controller(family);
  REQUIRE(controller.id() >= GENL_START_ALLOC);
  const auto claim = [&](const NetlinkBytes& bytes) { return controller.ClaimOf(First(bytes)); };
  const auto named = [](std::string_view name) {
    return NetlinkAttributes().Add(CTRL_ATTR_FAMILY_NAME, name);
  };
  const auto numbered = NetlinkAttributes().Add(CTRL_ATTR_FAMILY_ID, controller.id());
  CHECK(claim(Request(controller.id(), 77, {})) == Claim::kFamily);
  CHECK(claim(Request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, named("SOME"))) == Claim::kControl);
  CHECK(claim(Request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, numbered)) == Claim::kControl);
  CHECK(claim(Request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, named("SOMEX"))) == Claim::kKernel);
  CHECK(claim(Request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, {})) == Claim::kKernel);
  CHECK(claim(Request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, {}, NLM_F_DUMP)) == Claim::kDump);
  CHECK(claim(Request(GENL_ID_CTRL, CTRL_CMD_GETPOLICY, named("SOME"))) == Claim::kKernel);
  CHECK(claim(Request(20, 1, {})) == Claim::kKernel);
}

TEST_CASE("The controller describes the family as it describes the kernel's", "[netlink]") {
  SomeFamily family;
  const NetlinkController controller(family);
  const NetlinkBytes answer =
      controller.Describe(First(Request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, {})), 123, NLM_F_MULTI);
  const NetlinkMessage message = First(answer);
  CHECK(message.header.nlmsg_len == answer.size());
  CHECK(message.header.nlmsg_seq == 7);
  CHECK(message.header.nlmsg_pid == 123);
  const auto attributes = message.bytes.subspan(NLMSG_HDRLEN + GENL_HDRLEN);
  const auto number = [&](u16 type) { return LoadLittleEndian(*FindAttribute(attributes, type)); };
  CHECK(number(CTRL_ATTR_FAMILY_ID) == controller.id());
  CHECK(number(CTRL_ATTR_VERSION) == 3);
  CHECK(number(CTRL_ATTR_MAXATTR) == 5);
  const auto second = FindAttribute(*FindAttribute(attributes, CTRL_ATTR_OPS), 2);
  REQUIRE(second);
  CHECK(LoadLittleEndian(*FindAttribute(*second, CTRL_ATTR_OP_ID)) == 10);
}

TEST_CASE("A carrier brings a message into the queue of a socket, whatever its options",
          "[netlink]") {
  const NetlinkBytes message = Request(20, 1, NetlinkAttributes().Add(1, u64{5}));
  for (const int capped : {0, 1}) {
    const NetlinkSocket socket = OpenSocket();
    ::setsockopt(socket.fd(), SOL_NETLINK, NETLINK_CAP_ACK, &capped, sizeof capped);
    CHECK_FALSE(socket.HasMessage());
    CHECK(socket.Queue(message));
    CHECK(socket.HasMessage());
    CHECK(socket.Option(SOL_NETLINK, NETLINK_CAP_ACK) == capped);
    const NetlinkBytes carrier = Receive(socket);
    REQUIRE(NetlinkSocket::IsCarrier(carrier));
    CHECK(std::ranges::equal(std::span{carrier}.subspan(NetlinkSocket::kCarrierHead), message));
  }
  CHECK_FALSE(NetlinkSocket::IsCarrier(message));
}

TEST_CASE("A queue that is full takes no carrier", "[netlink]") {
  const NetlinkSocket socket = OpenSocket();
  const int small = 2048;
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const NetlinkBytes message = Request(20, 1, {});
  int taken = 0;
  while (socket.Queue(message) && taken < 100) ++taken;
  CHECK(taken > 0);
  CHECK(taken < 100);
}

TEST_CASE("A socket is bound to its process's number, or to another where that is taken",
          "[netlink]") {
  const NetlinkSocket first = OpenSocket(), second = OpenSocket();
  CHECK(first.peer().port == 0);
  first.Bind(::gettid());
  second.Bind(::gettid());
  CHECK(first.peer().net == second.peer().net);
  CHECK(first.peer().port != second.peer().port);
  CHECK(static_cast<int>(second.peer().port) < -4096);
  CHECK(first.cookie() != second.cookie());
}

TEST_CASE("Other files are no sockets of generic netlink", "[netlink]") {
  for (const int domain : {AF_UNIX, AF_NETLINK}) {
    UniqueFd fd(::socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int before = fd.get();
    CHECK_FALSE(NetlinkSocket::Of(fd));
    CHECK(fd.get() == before);
  }
}

TEST_CASE("A thread's status tells its process and the signals that wait", "[netlink]") {
  CHECK(ThreadStatus(::gettid()).process() == ::getpid());
  sigset_t set, before;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &set, &before);
  ::pthread_kill(::pthread_self(), SIGUSR2);
  CHECK(ThreadStatus(::gettid()).pending() == PendingSignal::kNone);
  CHECK(ThreadStatus(::gettid()).Blocks(SIGUSR2));
  const timespec none{};
  CHECK(::sigtimedwait(&set, nullptr, &none) == SIGUSR2);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  CHECK(ThreadStatus(0).own_process() == 0);
}
