// What keeps what alive: descriptors may be closed in any order, copied, inherited and passed on.
#include <sys/socket.h>

#include <csignal>

#include "client.hpp"
#include "edu.hpp"
#include "support/descriptor_passing.hpp"

namespace {

constexpr uint32_t kLine = 0x3c;  // a byte of config space that holds what the client writes
constexpr uint32_t kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;

uint32_t GroupFlags(int group) {
  vfio_group_status status{sizeof status, 0};
  REQUIRE(Ioctl(group, VFIO_GROUP_GET_STATUS, &status) == 0);
  return status.flags;
}

bool GroupIsBusy(const std::string& address) {
  Result group = TryOpen(GroupPath(address));
  if (group.Ok()) ::close(static_cast<int>(group.Value()));
  return group == Errno{EBUSY};
}

void Send(int socket, int fd) { REQUIRE(SendDescriptor(socket, fd)); }

Fd Receive(int socket) {
  const int fd = ReceiveDescriptor(socket, MSG_CMSG_CLOEXEC);
  REQUIRE(fd >= 0);
  return Fd(fd);
}

}  // namespace

// ---- Order of closing ----

TEST_CASE("with the container closed first, the device and its mappings live on", "[lifetime]") {
  Pages memory(1);
  memory.Fill(0xc3);
  Client client = OpenEdu();
  SetCommand(client.device, kCommandMaster, 0);
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  client.container.Close();
  CHECK((ReadRegister(client.device, kEduId) & 0xffff) == 0x00ed);
  CHECK(GroupFlags(client.group) == (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET));
  DmaFromMemory(client.device, kIova, 64);
  memory.Fill(0);
  DmaToMemory(client.device, kIova, 64);
  CHECK(memory[63] == 0xc3);
}

TEST_CASE("with the group closed first, the device lives on and the group stays busy",
          "[lifetime]") {
  Client client = OpenEdu();
  client.group.Close();
  CHECK((ReadRegister(client.device, kEduId) & 0xffff) == 0x00ed);
  CHECK(GroupIsBusy(Edu()));
  client.device.Close();
  CHECK(!GroupIsBusy(Edu()));
}

TEST_CASE("with the group closed first, the container still maps for the device", "[lifetime]") {
  Pages memory(1);
  memory.Fill(0xc3);
  Client client = OpenEdu();
  SetCommand(client.device, kCommandMaster, 0);
  client.group.Close();
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  DmaFromMemory(client.device, kIova, 64);
  memory.Fill(0);
  DmaToMemory(client.device, kIova, 64);
  CHECK(memory[63] == 0xc3);
}

TEST_CASE("with all but the device closed, it answers; its close frees the group", "[lifetime]") {
  Client client = OpenEdu();
  client.container.Close();
  client.group.Close();
  CHECK((ReadRegister(client.device, kEduId) & 0xffff) == 0x00ed);
  CHECK(GroupIsBusy(Edu()));
  client.device.Close();
  CHECK(!GroupIsBusy(Edu()));
}

TEST_CASE("closing a group without a device takes it out of its container", "[lifetime]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  domain.group.Close();
  CHECK(Unmap(domain.container, kIova, kPage) == Errno{EINVAL});  // no IOMMU model any more
  Fd group = OpenGroup(Edu());
  CHECK(GroupFlags(group) == VFIO_GROUP_FLAGS_VIABLE);
}

TEST_CASE("a group in a container whose descriptor is closed can leave it and join another",
          "[lifetime]") {
  Domain domain = OpenDomain(Edu());
  domain.container.Close();
  CHECK(GroupFlags(domain.group) == (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET));
  Fd other = OpenContainer();
  CHECK(SetContainer(domain.group, other) == Errno{EINVAL});
  CHECK(Ioctl(domain.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
  CHECK(SetContainer(domain.group, other) == 0);
}

TEST_CASE("one group's close leaves the container to the other", "[lifetime]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  Fd testdev = OpenGroup(Testdev());
  REQUIRE(SetContainer(testdev, domain.container) == 0);
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  domain.group.Close();
  CHECK(Unmap(domain.container, kIova, kPage) == kPage);
  CHECK(OpenDevice(testdev, Testdev()) >= 0);
}

// ---- The first open and the last close of a device ----

TEST_CASE("the last close of a device brings its config space back to the start", "[lifetime]") {
  Client client = OpenEdu();
  uint8_t line = ReadConfig<uint8_t>(client.device, kLine);
  uint32_t bar = ReadConfig<uint32_t>(client.device, 0x10);
  WriteConfig<uint8_t>(client.device, kLine, static_cast<uint8_t>(~line));
  WriteConfig<uint32_t>(client.device, 0x10, 0xffffffff);
  SetCommand(client.device, kCommandMaster | kCommandNoIntx, kCommandMemory);
  client.device.Close();

  Fd again = OpenDevice(client.group, Edu());
  uint16_t command = ReadConfig<uint16_t>(again, kPciCommand);
  CHECK(ReadConfig<uint8_t>(again, kLine) == line);
  CHECK(ReadConfig<uint32_t>(again, 0x10) == bar);
  CHECK((command & kCommandMaster) == 0);
  CHECK((command & kCommandNoIntx) == 0);
  CHECK((command & kCommandMemory) != 0);
}

TEST_CASE("while one descriptor of a device is open, closing another changes nothing",
          "[lifetime]") {
  Event event;
  Client client = OpenEdu();
  Fd second = OpenDevice(client.group, Edu());
  WriteConfig<uint8_t>(client.device, kLine, 0x77);
  SetCommand(client.device, kCommandMaster, 0);
  REQUIRE(SetIrqs(client.device, kTrigger, VFIO_PCI_MSI_IRQ_INDEX, 0, {event}) == 0);
  client.device.Close();
  CHECK(ReadConfig<uint8_t>(second, kLine) == 0x77);
  CHECK((ReadConfig<uint16_t>(second, kPciCommand) & kCommandMaster) != 0);
  WriteRegister(second, kEduIrqRaise, 1);
  CHECK(event.Take(3000) == 1);
  WriteRegister(second, kEduIrqAck, 1);
  CHECK(Ioctl(client.group, VFIO_GROUP_UNSET_CONTAINER) == Errno{EBUSY});
}

TEST_CASE("the last close of a device takes its eventfds away", "[lifetime]") {
  Event event;
  Client client = OpenEdu();
  for (uint32_t index : {VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX})
    REQUIRE(SetIrqs(client.device, kTrigger, index, 0, {event}) == 0);
  client.device.Close();
  Fd again = OpenDevice(client.group, Edu());
  for (uint32_t index : {VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX})
    CHECK(SetIrqsRaw(again, VFIO_IRQ_SET_DATA_NONE | kTrigger, index, 0, 1) == Errno{EINVAL});
  CHECK(event.Take() == 0);
}

TEST_CASE("a device can be opened and closed many times", "[lifetime]") {
  Domain domain = OpenDomain(Edu());
  for (int i = 0; i < 20; i++) {
    Fd device = OpenDevice(domain.group, Edu());
    CHECK((ReadRegister(device, kEduId) & 0xffff) == 0x00ed);
  }
  CHECK(Ioctl(domain.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
}

TEST_CASE("mappings outlive the device they were made for", "[lifetime]") {
  Pages memory(1);
  Client client = OpenEdu();
  REQUIRE(Map(client.container, kIova, memory.Data(), kPage) == 0);
  client.device.Close();
  CHECK(Map(client.container, kIova, memory.Data(), kPage) == Errno{EEXIST});
  CHECK(Unmap(client.container, kIova, kPage) == kPage);
}

// ---- Copies of descriptors ----

TEST_CASE("a copy of a device descriptor keeps the device open", "[lifetime]") {
  Client client = OpenEdu();
  Fd copy(::dup(client.device));
  WriteConfig<uint8_t>(client.device, kLine, 0x77);
  client.device.Close();
  CHECK(ReadConfig<uint8_t>(copy, kLine) == 0x77);
  CHECK(Ioctl(client.group, VFIO_GROUP_UNSET_CONTAINER) == Errno{EBUSY});
  copy.Close();
  CHECK(Ioctl(client.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
}

TEST_CASE("a copy of a group descriptor is the same open group", "[lifetime]") {
  Fd container = OpenContainer(), group = OpenGroup(Edu());
  Fd copy(::dup(group));
  REQUIRE(SetContainer(copy, container) == 0);
  CHECK(GroupFlags(group) == (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET));
  group.Close();
  CHECK(GroupIsBusy(Edu()));
  CHECK(GroupFlags(copy) == (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET));
  copy.Close();
  CHECK(!GroupIsBusy(Edu()));
}

TEST_CASE("a copy of a container descriptor is the same container", "[lifetime]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  Fd copy(::dup(domain.container));
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  domain.container.Close();
  CHECK(Map(copy, kIova, memory.Data(), kPage) == Errno{EEXIST});
  CHECK(Unmap(copy, kIova, kPage) == kPage);
}

TEST_CASE("a child process can use all it has inherited", "[lifetime]") {
  Pages memory(1);
  Event event;
  Client client = OpenEdu();
  CHECK(EndsWell(Fork([&] {
    return (ReadRegister(client.device, kEduId) & 0xffff) == 0x00ed &&
           Map(client.container, kIova, memory.Data(), kPage) == 0 &&
           SetIrqs(client.device, kTrigger, VFIO_PCI_REQ_IRQ_INDEX, 0, {event}) == 0;
  })));
  CHECK(SetIrqsRaw(client.device, VFIO_IRQ_SET_DATA_NONE | kTrigger, VFIO_PCI_REQ_IRQ_INDEX, 0,
                   1) == 0);
  CHECK(event.Take(2000) == 1);
  CHECK(Unmap(client.container, kIova, kPage) == kPage);
}

TEST_CASE("a child that inherited the descriptors keeps the group busy until it ends",
          "[lifetime]") {
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  Fd read_end(pipe[0]), write_end(pipe[1]);
  Client client = OpenEdu();
  pid_t child = Fork([&] {
    char byte;
    write_end.Close();
    return ::read(read_end, &byte, 1) == 0;
  });
  client.device.Close();
  client.group.Close();
  client.container.Close();
  CHECK(GroupIsBusy(Edu()));
  write_end.Close();
  CHECK(EndsWell(child));
  CHECK(!GroupIsBusy(Edu()));
}

TEST_CASE("a process that is killed leaves nothing behind", "[lifetime]") {
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  Fd read_end(pipe[0]), write_end(pipe[1]);
  Pages memory(1);
  pid_t child = Fork([&] {
    Client client = OpenEdu();
    bool mapped = Map(client.container, kIova, memory.Data(), kPage) == 0;
    return ::write(write_end, mapped ? "y" : "n", 1) == 1 && ::pause() == 0;
  });
  write_end.Close();
  char answer = 0;
  REQUIRE(::read(read_end, &answer, 1) == 1);
  CHECK(answer == 'y');
  ::kill(child, SIGKILL);
  CHECK(!EndsWell(child));
  Client client = OpenEdu();
  CHECK(Map(client.container, kIova, memory.Data(), kPage) == 0);
}

TEST_CASE("descriptors passed over a socket are as good as the originals", "[lifetime]") {
  int sockets[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
  Fd near(sockets[0]), far(sockets[1]);
  Pages memory(1);
  Client client = OpenEdu();
  Send(near, client.container);
  Send(near, client.device);
  client.container.Close();
  client.device.Close();
  CHECK(Ioctl(client.group, VFIO_GROUP_UNSET_CONTAINER) == Errno{EBUSY});  // still open in flight
  Fd container = Receive(far), device = Receive(far);
  CHECK((ReadRegister(device, kEduId) & 0xffff) == 0x00ed);
  CHECK(Map(container, kIova, memory.Data(), kPage) == 0);
}
