/*
 * A program of 2010 and 2011 that listens to what happens to a device, by generic netlink:
 *
 *     uiommu_events 0000:01:00.0 [ANSWER [SUSPEND]]
 *
 * It opens the device, registers for all of its events and prints them. When an error is detected
 * it answers with ANSWER, a pci_ers_result (2: the device can recover), later with 5 (recovered);
 * when the machine is to sleep, with SUSPEND (0: nothing against it). It ends when the device is
 * removed. Compile it with -I examples/early/include/REVISION.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/vfio.h>
#include <stdint.h>
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

enum { RECOVERED = 5 };

struct Message {
  struct nlmsghdr header;
  struct genlmsghdr generic;
  char attributes[4096];
};

static int netlink;
static unsigned domain, bus, slot, function;

static void Check(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
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

static void Register(uint16_t family) {
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

static void Reply(const struct Message* event, uint8_t command, uint16_t attribute,
                  uint32_t value) {
  struct Message reply = Begin(event->header.nlmsg_type, command, event->header.nlmsg_seq);
  Add(&reply, attribute, &value, sizeof value);
  AddAddress(&reply);
  Send(&reply);
}

static int OpenDevice(const char* address) {
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

static const char* const kNames[] = {"INVAL",        "REMOVE",     "ERROR_DETECTED",
                                     "MMIO_ENABLED", "LINK_RESET", "SLOT_RESET",
                                     "ERROR_RESUME", "PM_SUSPEND", "PM_RESUME"};

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc < 2 || sscanf(argv[1], "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) return 2;
  const uint32_t answer = argc > 2 ? (uint32_t)atoi(argv[2]) : 2;
  const uint32_t suspend = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
  netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
  Check(netlink >= 0, "socket");
  const uint16_t family = ResolveFamily(VFIO_GENL_NAME);
  const int device = OpenDevice(argv[1]);
  Register(family);
  printf("registered\n");
  for (;;) {
    const struct Message event = Receive();
    const unsigned command = event.generic.cmd;
    const void* of_slot = Find(&event, VFIO_ATTR_PCI_SLOT);
    if (event.header.nlmsg_type != family || of_slot == NULL || command > VFIO_MSG_PM_RESUME)
      continue;
    const uint32_t* state = Find(&event, VFIO_ATTR_CHANNEL_STATE);
    if (state != NULL)
      printf("%s %u\n", kNames[command], *state);
    else
      printf("%s\n", kNames[command]);
    if (command == VFIO_MSG_REMOVE) break;
    if (command == VFIO_MSG_PM_SUSPEND)
      Reply(&event, VFIO_MSG_PM_SUSPEND_REPLY, VFIO_ATTR_PM_SUSPEND_REPLY, suspend);
    if (command >= VFIO_MSG_ERROR_DETECTED && command <= VFIO_MSG_SLOT_RESET)
      Reply(&event, VFIO_MSG_ERROR_HANDLING_REPLY, VFIO_ATTR_ERROR_HANDLING_REPLY,
            command == VFIO_MSG_ERROR_DETECTED ? answer : RECOVERED);
  }
  close(device);
  return 0;
}
