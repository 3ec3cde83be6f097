#define _GNU_SOURCE
#include "uiommu_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* As wide as this revision wants the address of a function. */
#ifdef VFIO_MAX_MAP_SIZE
typedef uint32_t Domain;
typedef uint16_t Bus;
#else
typedef uint16_t Domain;
typedef uint8_t Bus;
#endif

struct Message {
  struct nlmsghdr header;
  struct genlmsghdr generic;
  char attributes[4096];
};

static int netlink;
static uint16_t family;
static unsigned domain, bus, slot, function;

void Check(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

/* /sys/bus/pci/drivers/vfio/ADDRESS/vfio has one entry, which is called as the node. */
int OpenDevice(const char* address) {
  char path[300];
  snprintf(path, sizeof path, "/sys/bus/pci/drivers/vfio/%s/vfio", address);
  DIR* directory = opendir(path);
  Check(directory != NULL, path);
  struct dirent* entry;
  while ((entry = readdir(directory)) != NULL && entry->d_name[0] == '.') continue;
  Check(entry != NULL, path);
  snprintf(path, sizeof path, "/dev/%s", entry->d_name);
  closedir(directory);
  const int device = open(path, O_RDWR);
  Check(device >= 0, path);
  return device;
}

static struct Message Begin(uint16_t family, uint8_t command, uint32_t sequence) {
  struct Message message = {
      {NLMSG_LENGTH(GENL_HDRLEN), family, NLM_F_REQUEST, sequence, 0}, {command, 1, 0}, ""};
  return message;
}

static void Add(struct Message* message, uint16_t type, const void* value, uint16_t size) {
  const struct nlattr attribute = {(uint16_t)(NLA_HDRLEN + size), type};
  char* end = (char*)message + message->header.nlmsg_len;
  memcpy(end, &attribute, sizeof attribute);
  memcpy(end + NLA_HDRLEN, value, size);
  message->header.nlmsg_len += NLA_ALIGN(attribute.nla_len);
}

static const void* Find(const struct Message* message, uint16_t type) {
  const char* at = message->attributes;
  const char* end = (const char*)message + message->header.nlmsg_len;
  while (at + NLA_HDRLEN <= end) {
    const struct nlattr* attribute = (const struct nlattr*)at;
    if (attribute->nla_type == type) return at + NLA_HDRLEN;
    at += NLA_ALIGN(attribute->nla_len);
  }
  return NULL;
}

static void Send(const struct Message* message) {
  Check(send(netlink, message, message->header.nlmsg_len, 0) == (ssize_t)message->header.nlmsg_len,
        "send");
}

static struct Message Receive(void) {
  struct Message message;
  Check(recv(netlink, &message, sizeof message, 0) >= (ssize_t)NLMSG_HDRLEN, "receive");
  return message;
}

static uint16_t ResolveFamily(const char* name) {
  struct Message request = Begin(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
  Add(&request, CTRL_ATTR_FAMILY_NAME, name, (uint16_t)(strlen(name) + 1));
  Send(&request);
  const struct Message answer = Receive();
  const void* id = Find(&answer, CTRL_ATTR_FAMILY_ID);
  errno = ENOENT;
  Check(answer.header.nlmsg_type == GENL_ID_CTRL && id != NULL, "family VFIO");
  return *(const uint16_t*)id;
}

static void AddAddress(struct Message* message) {
  const Domain of_domain = (Domain)domain;
  const Bus of_bus = (Bus)bus;
  const uint8_t of_slot = (uint8_t)slot, of_function = (uint8_t)function;
  Add(message, VFIO_ATTR_PCI_DOMAIN, &of_domain, sizeof of_domain);
  Add(message, VFIO_ATTR_PCI_BUS, &of_bus, sizeof of_bus);
  Add(message, VFIO_ATTR_PCI_SLOT, &of_slot, 1);
  Add(message, VFIO_ATTR_PCI_FUNC, &of_function, 1);
}

void RegisterForEvents(const char* address) {
  const int fields = sscanf(address, "%x:%x:%x.%x", &domain, &bus, &slot, &function);
  errno = EINVAL;
  Check(fields == 4, address);
  netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
  Check(netlink >= 0, "socket");
  family = ResolveFamily(VFIO_GENL_NAME);
  const uint64_t all = (1 << VFIO_MSG_REGISTER) - 2;
  struct Message request = Begin(family, VFIO_MSG_REGISTER, 2);
  request.header.nlmsg_flags |= NLM_F_ACK;
  Add(&request, VFIO_ATTR_MSGCAP, &all, sizeof all);
  AddAddress(&request);
  Send(&request);
  const struct Message answer = Receive();
  errno = -*(const int*)&answer.generic; /* struct nlmsgerr */
  Check(answer.header.nlmsg_type == NLMSG_ERROR && errno == 0, "register");
}

struct Event ReceiveEvent(void) {
  for (;;) {
    const struct Message message = Receive();
    const uint32_t* state = Find(&message, VFIO_ATTR_CHANNEL_STATE);
    if (message.header.nlmsg_type == family && Find(&message, VFIO_ATTR_PCI_SLOT) != NULL)
      return (struct Event){message.generic.cmd, message.header.nlmsg_seq, state != NULL,
                            state != NULL ? *state : 0};
  }
}

void Answer(const struct Event* event, uint8_t command, uint16_t attribute, uint32_t value) {
  struct Message reply = Begin(family, command, event->sequence);
  Add(&reply, attribute, &value, sizeof value);
  AddAddress(&reply);
  Send(&reply);
}
