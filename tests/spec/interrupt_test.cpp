// Interrupts that the device really sends: INTx, which masks itself, and MSI.
#include "client.hpp"
#include "edu.hpp"

namespace {

constexpr uint32_t kNone = VFIO_IRQ_SET_DATA_NONE, kMask = VFIO_IRQ_SET_ACTION_MASK,
                   kUnmask = VFIO_IRQ_SET_ACTION_UNMASK, kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
constexpr uint32_t kIntx = VFIO_PCI_INTX_IRQ_INDEX, kMsi = VFIO_PCI_MSI_IRQ_INDEX;
constexpr int kSoon = 3000, kAWhile = 150;  // milliseconds: to wait for a signal, and for none

Client OpenWith(uint32_t index, int event) {
  Client client = OpenEdu();
  SetCommand(client.device, kCommandMaster, 0);
  REQUIRE(SetIrqs(client.device, kTrigger, index, 0, {event}) == 0);
  return client;
}
void Raise(int device, uint32_t causes = 1) { WriteRegister(device, kEduIrqRaise, causes); }
void Acknowledge(int device) { WriteRegister(device, kEduIrqAck, 0xffffffff); }
Result Mask(int device) { return SetIrqsRaw(device, kNone | kMask, kIntx, 0, 1); }
Result Unmask(int device) { return SetIrqsRaw(device, kNone | kUnmask, kIntx, 0, 1); }

}  // namespace

// ---- INTx ----

TEST_CASE("INTx: the device's interrupt signals the eventfd once, though the line stays up",
          "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  Raise(client.device);
  CHECK(event.Take(kSoon) == 1);
  CHECK(event.Take(kAWhile) == 0);
  CHECK(ReadRegister(client.device, kEduIrqStatus) == 1);
  Acknowledge(client.device);
}

TEST_CASE("INTx: after a signal it is masked until UNMASK", "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  Raise(client.device);
  REQUIRE(event.Take(kSoon) == 1);
  Acknowledge(client.device);
  Raise(client.device);
  CHECK(event.Take(kAWhile) == 0);
  CHECK(Unmask(client.device) == 0);
  CHECK(event.Take(kSoon) == 1);
  Acknowledge(client.device);
}

TEST_CASE("INTx: UNMASK signals again if the line is still up, and not if it is down", "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  Raise(client.device);
  REQUIRE(event.Take(kSoon) == 1);
  CHECK(Unmask(client.device) == 0);
  CHECK(event.Take(kSoon) == 1);
  Acknowledge(client.device);
  CHECK(Unmask(client.device) == 0);
  CHECK(event.Take(kAWhile) == 0);
}

TEST_CASE("INTx: many rounds of interrupt, acknowledge, unmask", "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  for (uint32_t i = 1; i <= 20; i++) {
    Raise(client.device, i);
    REQUIRE(event.Take(kSoon) == 1);
    CHECK(ReadRegister(client.device, kEduIrqStatus) == i);
    Acknowledge(client.device);
    REQUIRE(Unmask(client.device) == 0);
  }
  CHECK(event.Take(kAWhile) == 0);
}

TEST_CASE("INTx: MASK holds an interrupt back until UNMASK", "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  CHECK(Mask(client.device) == 0);
  CHECK(Mask(client.device) == 0);
  Raise(client.device);
  CHECK(event.Take(kAWhile) == 0);
  CHECK(Unmask(client.device) == 0);
  CHECK(event.Take(kSoon) == 1);
  Acknowledge(client.device);
}

TEST_CASE("INTx: MASK and UNMASK take a boolean too", "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  uint8_t no = 0, yes = 1;
  CHECK(SetIrqsRaw(client.device, VFIO_IRQ_SET_DATA_BOOL | kMask, kIntx, 0, 1, &yes, 1) == 0);
  Raise(client.device);
  CHECK(SetIrqsRaw(client.device, VFIO_IRQ_SET_DATA_BOOL | kUnmask, kIntx, 0, 1, &no, 1) == 0);
  CHECK(event.Take(kAWhile) == 0);
  CHECK(SetIrqsRaw(client.device, VFIO_IRQ_SET_DATA_BOOL | kUnmask, kIntx, 0, 1, &yes, 1) == 0);
  CHECK(event.Take(kSoon) == 1);
  Acknowledge(client.device);
}

TEST_CASE("INTx: MASK and UNMASK are EINVAL while it is not enabled", "[intx]") {
  Event event;
  Client client = OpenEdu();
  CHECK(Mask(client.device) == Errno{EINVAL});
  CHECK(Unmask(client.device) == Errno{EINVAL});
  CHECK(SetIrqs(client.device, kUnmask, kIntx, 0, {event}) == Errno{EINVAL});
}

TEST_CASE("INTx: MASK and UNMASK of no interrupts is EINVAL", "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  CHECK(SetIrqsRaw(client.device, kNone | kMask, kIntx, 0, 0) == Errno{EINVAL});
  CHECK(SetIrqsRaw(client.device, kNone | kUnmask, kIntx, 0, 0) == Errno{EINVAL});
}

TEST_CASE("INTx: an eventfd cannot mask", "[intx]") {
  Event event, masks;
  Client client = OpenWith(kIntx, event);
  CHECK(SetIrqs(client.device, kMask, kIntx, 0, {masks}) == Errno{ENOTTY});
}

TEST_CASE("INTx: an eventfd can unmask", "[intx]") {
  Event event, unmasks;
  Client client = OpenWith(kIntx, event);
  CHECK(SetIrqs(client.device, kUnmask, kIntx, 0, {unmasks}) == 0);
  for (int i = 0; i < 3; i++) {
    Raise(client.device);
    REQUIRE(event.Take(kSoon) == 1);
    Acknowledge(client.device);
    unmasks.Signal();
  }
}

TEST_CASE("INTx: a second unmasking eventfd is EBUSY, until -1 removes the first", "[intx]") {
  Event event, first, second;
  Client client = OpenWith(kIntx, event);
  CHECK(SetIrqs(client.device, kUnmask, kIntx, 0, {-1}) == 0);
  CHECK(SetIrqs(client.device, kUnmask, kIntx, 0, {first}) == 0);
  CHECK(SetIrqs(client.device, kUnmask, kIntx, 0, {second}) == Errno{EBUSY});
  CHECK(SetIrqs(client.device, kUnmask, kIntx, 0, {-1}) == 0);
  CHECK(SetIrqs(client.device, kUnmask, kIntx, 0, {second}) == 0);
}

TEST_CASE("INTx: a bad unmasking descriptor is EBADF, no eventfd is EINVAL", "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  CHECK(SetIrqs(client.device, kUnmask, kIntx, 0, {1000000}) == Errno{EBADF});
  CHECK(SetIrqs(client.device, kUnmask, kIntx, 0, {client.container}) == Errno{EINVAL});
}

TEST_CASE("INTx: COMMAND's INTx-disable bit holds it back, and clearing it lets it through",
          "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  SetCommand(client.device, kCommandNoIntx, 0);
  Raise(client.device);
  CHECK(event.Take(kAWhile) == 0);
  SetCommand(client.device, 0, kCommandNoIntx);
  CHECK(event.Take(kSoon) == 1);
  Acknowledge(client.device);
}

TEST_CASE("INTx: the client sees only its own INTx-disable bit, not the mask after a signal",
          "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  Raise(client.device);
  REQUIRE(event.Take(kSoon) == 1);
  CHECK((ReadConfig<uint16_t>(client.device, kPciCommand) & kCommandNoIntx) == 0);
  Acknowledge(client.device);
}

TEST_CASE("INTx: nothing comes after it was disabled", "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  REQUIRE(SetIrqsRaw(client.device, kNone | kTrigger, kIntx, 0, 0) == 0);
  Raise(client.device);
  CHECK(event.Take(kAWhile) == 0);
  Acknowledge(client.device);
}

TEST_CASE("INTx needs no bus mastering", "[intx]") {
  Event event;
  Client client = OpenWith(kIntx, event);
  SetCommand(client.device, 0, kCommandMaster);
  Raise(client.device);
  CHECK(event.Take(kSoon) == 1);
  Acknowledge(client.device);
}

// ---- MSI ----

TEST_CASE("MSI: every message of the device is counted, without masking", "[msi]") {
  Event event;
  Client client = OpenWith(kMsi, event);
  for (int i = 0; i < 10; i++) {
    Raise(client.device);
    CHECK(event.Take(kSoon) == 1);
    Acknowledge(client.device);
  }
}

TEST_CASE("MSI: the device's factorial unit signals its end", "[msi]") {
  constexpr uint32_t kFactorial = 0x08, kIrqAfterFactorial = 0x80;
  Event event;
  Client client = OpenWith(kMsi, event);
  WriteRegister(client.device, kEduStatus, kIrqAfterFactorial);
  WriteRegister(client.device, kFactorial, 10);
  CHECK(event.Take(kSoon) == 1);
  CHECK(ReadRegister(client.device, kFactorial) == 3628800);
  CHECK(ReadRegister(client.device, kEduIrqStatus) == 1);
  Acknowledge(client.device);
}

TEST_CASE("MSI: without bus mastering no message arrives", "[msi]") {
  Event event;
  Client client = OpenWith(kMsi, event);
  SetCommand(client.device, 0, kCommandMaster);
  Raise(client.device);
  CHECK(event.Take(kAWhile) == 0);
  Acknowledge(client.device);
  SetCommand(client.device, kCommandMaster, 0);
  Raise(client.device);
  CHECK(event.Take(kSoon) == 1);
  Acknowledge(client.device);
}

TEST_CASE("MSI: a message goes to the eventfd that is registered when it comes", "[msi]") {
  Event first, second;
  Client client = OpenWith(kMsi, first);
  REQUIRE(SetIrqs(client.device, kTrigger, kMsi, 0, {second}) == 0);
  Raise(client.device);
  CHECK(second.Take(kSoon) == 1);
  CHECK(first.Take() == 0);
  Acknowledge(client.device);
}

TEST_CASE("MSI: nothing comes after it was disabled, and all is well after enabling it again",
          "[msi]") {
  Event event;
  Client client = OpenWith(kMsi, event);
  REQUIRE(SetIrqsRaw(client.device, kNone | kTrigger, kMsi, 0, 0) == 0);
  Raise(client.device);
  CHECK(event.Take(kAWhile) == 0);
  Acknowledge(client.device);
  REQUIRE(SetIrqs(client.device, kTrigger, kMsi, 0, {event}) == 0);
  Raise(client.device);
  CHECK(event.Take(kSoon) == 1);
  Acknowledge(client.device);
}

TEST_CASE("MSI: after the last close of the device nothing comes", "[msi]") {
  Event event;
  Client client = OpenWith(kMsi, event);
  client.device.Close();
  Fd again = OpenDevice(client.group, Edu());
  SetCommand(again, kCommandMaster, 0);
  Raise(again);
  CHECK(event.Take(kAWhile) == 0);
  Acknowledge(again);
}

TEST_CASE("MSI: a register write cannot do what only SET_IRQS may", "[msi]") {
  Event event;
  Client client = OpenEdu();
  SetCommand(client.device, kCommandMaster, 0);
  uint32_t capability = ReadConfig<uint8_t>(client.device, 0x34);
  WriteConfig<uint16_t>(client.device, capability + 2, 0x81);
  CHECK(SetIrqsRaw(client.device, kNone | kTrigger, kMsi, 0, 1) == Errno{EINVAL});
  CHECK(SetIrqs(client.device, kTrigger, kIntx, 0, {event}) == 0);
}
