// libnl_events: a program that uses libnl finds the family "VFIO" in each of the library's ways,
// registers for 0000:01:00.0, which it opens as /dev/vfio0, and hears of a sleep.
#include <fcntl.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/family.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <initializer_list>

namespace {

int family, suspends, resumes;

void Expect(bool holds, const char* what) {
  if (holds) return;
  printf("does not hold: %s\n", what);
  exit(1);
}

nl_msg* NewMessage(uint8_t command) {
  nl_msg* message = nlmsg_alloc();
  genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, command, 1);
  nla_put_u32(message, 2, 0);
  nla_put_u16(message, 3, 1);
  nla_put_u8(message, 4, 0);
  nla_put_u8(message, 5, 0);
  return message;
}
int Send(nl_sock* socket, nl_msg* message) {
  const int sent = nl_send_auto(socket, message);
  nlmsg_free(message);
  return sent < 0 ? sent : nl_wait_for_ack(socket);
}

int OnMessage(nl_msg* message, void*) {
  nlattr* attributes[9];
  nlmsghdr* header = nlmsg_hdr(message);
  if (header->nlmsg_type != family || genlmsg_parse(header, 0, attributes, 8, nullptr) != 0 ||
      nla_get_u16(attributes[3]) != 1)
    return NL_SKIP;
  const int command = genlmsg_hdr(header)->cmd;
  suspends += command == 7;
  resumes += command == 8;
  return NL_OK;
}

void FindFamily(nl_sock* socket) {
  Expect(genl_ctrl_resolve(socket, "nlctrl") == 16, "the controller is found");
  Expect(genl_ctrl_resolve(socket, "NO SUCH") == -NLE_OBJ_NOTFOUND, "another is not");
  family = genl_ctrl_resolve(socket, "VFIO");
  Expect(family > 16, "VFIO is found");
  nl_cache* cache = nullptr;
  Expect(genl_ctrl_alloc_cache(socket, &cache) == 0, "all families are listed");
  genl_family* listed = genl_ctrl_search_by_name(cache, "VFIO");
  Expect(listed != nullptr && static_cast<int>(genl_family_get_id(listed)) == family &&
             genl_family_get_version(listed) == 1 && genl_family_get_maxattr(listed) == 8,
         "VFIO is among them");
  genl_family_put(listed);
  nl_cache_free(cache);
}

void Sleep(nl_sock* socket) {
  auto sleeper = std::async(std::launch::async, [] {
    usleep(50000);
    const int state = open("/sys/power/state", O_WRONLY);
    return write(state, "mem", 3) == 3;
  });
  suspends = resumes = 0;
  pollfd ready{nl_socket_get_fd(socket), POLLIN, 0};
  while (suspends == 0)
    if (poll(&ready, 1, 5000) == 1) nl_recvmsgs_default(socket);
  nl_msg* reply = NewMessage(11);
  nla_put_u32(reply, 8, 0);
  Expect(Send(socket, reply) == 0, "the reply is taken");
  Expect(sleeper.get(), "the machine has slept");
  while (resumes == 0) Expect(nl_recvmsgs_default(socket) >= 0, "PM_RESUME");
}

}  // namespace

int main() {
  const int device = open("/dev/vfio0", O_RDWR);
  Expect(device >= 0, "/dev/vfio0 is there");
  for (const bool looks_first : {false, true}) {
    nl_sock* socket = nl_socket_alloc();
    if (looks_first) nl_socket_enable_msg_peek(socket);
    Expect(genl_connect(socket) == 0, "a socket of generic netlink");
    FindFamily(socket);
    nl_socket_disable_seq_check(socket);
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, OnMessage, nullptr);
    nl_msg* registration = NewMessage(9);
    nla_put_u64(registration, 1, 0x1fe);
    Expect(Send(socket, registration) == 0, "the registration is taken");
    Sleep(socket);
    nl_socket_free(socket);
  }
  printf("as it should be\n");
  return 0;
}
