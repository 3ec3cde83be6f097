// SET_IRQS: how a request is checked, signals a client gives itself (the loop-back), and ERR and
// REQ.
#include "client.hpp"
#include "edu.hpp"

namespace {

constexpr uint32_t kNone = VFIO_IRQ_SET_DATA_NONE, kBool = VFIO_IRQ_SET_DATA_BOOL,
                   kEventfd = VFIO_IRQ_SET_DATA_EVENTFD, kMask = VFIO_IRQ_SET_ACTION_MASK,
                   kUnmask = VFIO_IRQ_SET_ACTION_UNMASK, kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
constexpr uint32_t kIntx = VFIO_PCI_INTX_IRQ_INDEX, kMsi = VFIO_PCI_MSI_IRQ_INDEX,
                   kMsix = VFIO_PCI_MSIX_IRQ_INDEX, kErr = VFIO_PCI_ERR_IRQ_INDEX,
                   kReq = VFIO_PCI_REQ_IRQ_INDEX;

Result Enable(int device, uint32_t index, int event) {
  return SetIrqs(device, kTrigger, index, 0, {event});
}
Result Disable(int device, uint32_t index) {
  return SetIrqsRaw(device, kNone | kTrigger, index, 0, 0);
}
// The client's own signal, as if the device had sent it.
Result Loopback(int device, uint32_t index) {
  return SetIrqsRaw(device, kNone | kTrigger, index, 0, 1);
}
Result LoopbackIf(int device, uint32_t index, uint8_t condition) {
  return SetIrqsRaw(device, kBool | kTrigger, index, 0, 1, &condition, 1);
}

}  // namespace

// ---- How a request is checked ----

TEST_CASE("SET_IRQS with argsz below 20 is EINVAL", "[irq]") {
  Client client = OpenEdu();
  vfio_irq_set set{19, kNone | kTrigger, kIntx, 0, 0};
  CHECK(Ioctl(client.device, VFIO_DEVICE_SET_IRQS, &set) == Errno{EINVAL});
}

TEST_CASE("SET_IRQS of an index past num_irqs is EINVAL", "[irq]") {
  Client client = OpenEdu();
  CHECK(Loopback(client.device, VFIO_PCI_NUM_IRQS) == Errno{EINVAL});
  CHECK(Loopback(client.device, ~0u) == Errno{EINVAL});
}

TEST_CASE("SET_IRQS with flags nobody knows is EINVAL", "[irq]") {
  Client client = OpenEdu();
  CHECK(SetIrqsRaw(client.device, kNone | kTrigger | 64, kReq, 0, 0) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kNone | kTrigger | 1u << 31, kReq, 0, 0) == Errno{EINVAL});
}

TEST_CASE("SET_IRQS with no kind of data, or with two, is EINVAL", "[irq]") {
  Event event;
  Client client = OpenEdu();
  int fd = event;
  CHECK(SetIrqsRaw(client.device, kTrigger, kMsi, 0, 1) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kNone | kBool | kTrigger, kMsi, 0, 1, &fd, 4) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kBool | kEventfd | kTrigger, kMsi, 0, 1, &fd, 4) ==
        Errno{EINVAL});
}

TEST_CASE("SET_IRQS with no action, or with two, is ENOTTY", "[irq]") {
  Client client = OpenEdu();
  CHECK(SetIrqsRaw(client.device, kNone, kMsi, 0, 1) == Errno{ENOTTY});
  CHECK(SetIrqsRaw(client.device, kNone | kMask | kUnmask, kIntx, 0, 1) == Errno{ENOTTY});
  CHECK(SetIrqsRaw(client.device, kNone | kMask | kTrigger, kIntx, 0, 1) == Errno{ENOTTY});
}

TEST_CASE("SET_IRQS past the index's count is EINVAL", "[irq]") {
  Client client = OpenEdu();
  CHECK(SetIrqsRaw(client.device, kNone | kTrigger, kMsi, 1, 0) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kNone | kTrigger, kMsi, 0, 2) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kNone | kTrigger, kMsi, 1, 1) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kNone | kTrigger, kMsi, 0xffffffff, 1) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kNone | kTrigger, kMsi, 1, 0xffffffff) == Errno{EINVAL});
}

TEST_CASE("SET_IRQS of a kind of interrupt the device lacks is EINVAL", "[irq]") {
  Event event;
  Client edu = OpenEdu();
  CHECK(Enable(edu.device, kMsix, event) == Errno{EINVAL});
  CHECK(Disable(edu.device, kMsix) == Errno{EINVAL});
  Client testdev = OpenClient(Testdev());
  for (uint32_t index : {kIntx, kMsi, kMsix}) {
    CHECK(Enable(testdev.device, index, event) == Errno{EINVAL});
    CHECK(Disable(testdev.device, index) == Errno{EINVAL});
  }
}

TEST_CASE("SET_IRQS without room for its data in argsz is EINVAL", "[irq]") {
  Event event;
  Client client = OpenEdu();
  int fd = event;
  CHECK(SetIrqsRaw(client.device, kEventfd | kTrigger, kMsi, 0, 1, &fd, 3) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kEventfd | kTrigger, kMsi, 0, 1) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kBool | kTrigger, kMsi, 0, 1) == Errno{EINVAL});
}

TEST_CASE("SET_IRQS with more room than its data needs is fine", "[irq]") {
  Event event;
  Client client = OpenEdu();
  int fds[16] = {event, -7, -7};
  CHECK(SetIrqsRaw(client.device, kEventfd | kTrigger, kMsi, 0, 1, fds, sizeof fds) == 0);
}

TEST_CASE("MASK and UNMASK are ENOTTY for MSI, ERR and REQ", "[irq]") {
  Client client = OpenEdu();
  for (uint32_t index : {kMsi, kErr, kReq}) {
    CHECK(SetIrqsRaw(client.device, kNone | kMask, index, 0, 1) == Errno{ENOTTY});
    CHECK(SetIrqsRaw(client.device, kNone | kUnmask, index, 0, 1) == Errno{ENOTTY});
  }
}

// ---- INTx and MSI without the device ----

TEST_CASE("INTx and MSI that are not enabled cannot be triggered", "[irq]") {
  Client client = OpenEdu();
  for (uint32_t index : {kIntx, kMsi}) {
    CHECK(Loopback(client.device, index) == Errno{EINVAL});
    CHECK(LoopbackIf(client.device, index, 1) == Errno{EINVAL});
  }
}

TEST_CASE("disabling INTx or MSI that is not enabled is EINVAL", "[irq]") {
  Client client = OpenEdu();
  CHECK(Disable(client.device, kIntx) == Errno{EINVAL});
  CHECK(Disable(client.device, kMsi) == Errno{EINVAL});
}

TEST_CASE("a trigger without data signals the eventfd", "[irq][loopback]") {
  for (uint32_t index : {kIntx, kMsi, kErr, kReq}) {
    Event event;
    Client client = OpenEdu();
    REQUIRE(Enable(client.device, index, event) == 0);
    CHECK(event.Take() == 0);
    CHECK(Loopback(client.device, index) == 0);
    CHECK(Loopback(client.device, index) == 0);
    CHECK(event.Take(2000) == 2);
  }
}

TEST_CASE("a trigger with a boolean signals the eventfd only if that is true", "[irq][loopback]") {
  for (uint32_t index : {kIntx, kMsi, kErr, kReq}) {
    Event event;
    Client client = OpenEdu();
    REQUIRE(Enable(client.device, index, event) == 0);
    CHECK(LoopbackIf(client.device, index, 0) == 0);
    CHECK(event.Take() == 0);
    CHECK(LoopbackIf(client.device, index, 1) == 0);
    CHECK(event.Take(2000) == 1);
  }
}

TEST_CASE("a new eventfd takes the place of the old one", "[irq][loopback]") {
  for (uint32_t index : {kIntx, kMsi, kErr, kReq}) {
    Event old_event, new_event;
    Client client = OpenEdu();
    REQUIRE(Enable(client.device, index, old_event) == 0);
    CHECK(Enable(client.device, index, new_event) == 0);
    CHECK(Loopback(client.device, index) == 0);
    CHECK(new_event.Take(2000) == 1);
    CHECK(old_event.Take() == 0);
  }
}

TEST_CASE("-1 takes the eventfd away from INTx or MSI, which stays enabled", "[irq][loopback]") {
  for (uint32_t index : {kIntx, kMsi}) {
    Event event;
    Client client = OpenEdu();
    REQUIRE(Enable(client.device, index, event) == 0);
    CHECK(Enable(client.device, index, -1) == 0);
    CHECK(Loopback(client.device, index) == 0);
    CHECK(event.Take() == 0);
    CHECK(Enable(client.device, index, event) == 0);
    CHECK(Loopback(client.device, index) == 0);
    CHECK(event.Take(2000) == 1);
  }
}

TEST_CASE("INTx and MSI can be enabled without an eventfd", "[irq]") {
  for (uint32_t index : {kIntx, kMsi}) {
    Client client = OpenEdu();
    CHECK(Enable(client.device, index, -1) == 0);
    CHECK(Loopback(client.device, index) == 0);
    CHECK(Disable(client.device, index) == 0);
  }
}

TEST_CASE("no data and count 0 disables INTx or MSI", "[irq]") {
  for (uint32_t index : {kIntx, kMsi}) {
    Event event;
    Client client = OpenEdu();
    REQUIRE(Enable(client.device, index, event) == 0);
    CHECK(Disable(client.device, index) == 0);
    CHECK(Loopback(client.device, index) == Errno{EINVAL});
    CHECK(Disable(client.device, index) == Errno{EINVAL});
    CHECK(Enable(client.device, index, event) == 0);
  }
}

TEST_CASE("enabling INTx or MSI with a bad descriptor is EBADF, with no eventfd EINVAL", "[irq]") {
  for (uint32_t index : {kIntx, kMsi}) {
    Client client = OpenEdu();
    CHECK(Enable(client.device, index, 1000000) == Errno{EBADF});
    CHECK(Enable(client.device, index, client.container) == Errno{EINVAL});
    CHECK(Loopback(client.device, index) == Errno{EINVAL});
  }
}

TEST_CASE("INTx and MSI exclude each other", "[irq]") {
  Event event;
  Client client = OpenEdu();
  REQUIRE(Enable(client.device, kIntx, event) == 0);
  CHECK(Enable(client.device, kMsi, event) == Errno{EINVAL});
  CHECK(Loopback(client.device, kMsi) == Errno{EINVAL});
  REQUIRE(Disable(client.device, kIntx) == 0);
  CHECK(Enable(client.device, kMsi, event) == 0);
  CHECK(Enable(client.device, kIntx, event) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kNone | kMask, kIntx, 0, 1) == Errno{EINVAL});
}

TEST_CASE("enabling MSI for no vectors is ERANGE; later no vectors change nothing", "[irq]") {
  Event event;
  Client client = OpenEdu();
  CHECK(SetIrqs(client.device, kTrigger, kMsi, 0, {}) == Errno{ERANGE});
  REQUIRE(Enable(client.device, kMsi, event) == 0);
  CHECK(SetIrqs(client.device, kTrigger, kMsi, 0, {}) == 0);
  CHECK(Loopback(client.device, kMsi) == 0);
  CHECK(event.Take(2000) == 1);
}

TEST_CASE("a bad eventfd for a vector in use takes away the one it had", "[irq][loopback]") {
  Event event;
  Client client = OpenEdu();
  REQUIRE(Enable(client.device, kMsi, event) == 0);
  CHECK(Enable(client.device, kMsi, 1000000) == Errno{EBADF});
  CHECK(Loopback(client.device, kMsi) == 0);
  CHECK(event.Take() == 0);
}

TEST_CASE("an eventfd the client has closed stays registered", "[irq][loopback]") {
  Event event;
  Fd copy(::dup(event));
  Client client = OpenEdu();
  REQUIRE(Enable(client.device, kMsi, event) == 0);
  event.CloseMine();
  CHECK(Loopback(client.device, kMsi) == 0);
  eventfd_t count = 0;
  CHECK(::eventfd_read(copy, &count) == 0);
  CHECK(count == 1);
}

TEST_CASE("one eventfd can serve several kinds of interrupt", "[irq][loopback]") {
  Event event;
  Client client = OpenEdu();
  for (uint32_t index : {kMsi, kErr, kReq}) REQUIRE(Enable(client.device, index, event) == 0);
  for (uint32_t index : {kMsi, kErr, kReq}) CHECK(Loopback(client.device, index) == 0);
  CHECK(event.Take(2000) == 3);
}

// ---- ERR and REQ ----

TEST_CASE("ERR and REQ without an eventfd cannot be triggered, nor be removed with no data",
          "[irq][err-req]") {
  Client client = OpenEdu();
  for (uint32_t index : {kErr, kReq}) {
    CHECK(Loopback(client.device, index) == Errno{EINVAL});
    CHECK(Disable(client.device, index) == Errno{EINVAL});
    CHECK(LoopbackIf(client.device, index, 1) == 0);
  }
}

TEST_CASE("ERR and REQ: -1 removes the eventfd, also if there is none; -2 is EINVAL",
          "[irq][err-req]") {
  Event event;
  Client client = OpenEdu();
  for (uint32_t index : {kErr, kReq}) {
    CHECK(Enable(client.device, index, -1) == 0);
    REQUIRE(Enable(client.device, index, event) == 0);
    CHECK(Enable(client.device, index, -2) == Errno{EINVAL});
    CHECK(Enable(client.device, index, -1) == 0);
    CHECK(Loopback(client.device, index) == Errno{EINVAL});
  }
}

TEST_CASE("ERR and REQ: no data and count 0 removes the eventfd", "[irq][err-req]") {
  Event event;
  Client client = OpenEdu();
  for (uint32_t index : {kErr, kReq}) {
    REQUIRE(Enable(client.device, index, event) == 0);
    CHECK(Disable(client.device, index) == 0);
    CHECK(Loopback(client.device, index) == Errno{EINVAL});
  }
}

TEST_CASE("ERR and REQ: count 0 with a boolean or an eventfd is EINVAL", "[irq][err-req]") {
  Client client = OpenEdu();
  for (uint32_t index : {kErr, kReq}) {
    CHECK(SetIrqsRaw(client.device, kBool | kTrigger, index, 0, 0) == Errno{EINVAL});
    CHECK(SetIrqsRaw(client.device, kEventfd | kTrigger, index, 0, 0) == Errno{EINVAL});
  }
}

TEST_CASE("ERR and REQ with a bad descriptor are EBADF, with no eventfd EINVAL", "[irq][err-req]") {
  Client client = OpenEdu();
  for (uint32_t index : {kErr, kReq}) {
    CHECK(Enable(client.device, index, 1000000) == Errno{EBADF});
    CHECK(Enable(client.device, index, client.container) == Errno{EINVAL});
  }
}

TEST_CASE("pci-testdev has ERR and REQ, though it has no interrupt of its own", "[irq][err-req]") {
  Event event;
  Client client = OpenClient(Testdev());
  for (uint32_t index : {kErr, kReq}) {
    REQUIRE(Enable(client.device, index, event) == 0);
    CHECK(Loopback(client.device, index) == 0);
    CHECK(event.Take(2000) == 1);
  }
}
