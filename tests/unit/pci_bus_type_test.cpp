// Drivers come and go while clients use devices.
#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

const std::string kName = kFirst.ToString();

struct Lab : Bench {
  using Bench::Bench;
  PciBusType& bus = machine.pci_bus();
  int freed = 0;
  // 0 or the errno.
  int Unbind(const std::string& driver = "vfio-pci", const std::string& name = kName) {
    return Code(bus.Unbind(driver, name, [this] { ++freed; }));
  }
  int Bind(const std::string& driver = "vfio-pci", const std::string& name = kName) {
    return Code(bus.Bind(driver, name));
  }
  static int Code(const Result<>& result) { return result ? 0 : result.error().code; }
  long Status(int group) {
    vfio_group_status status{.argsz = sizeof status};
    return Ioctl(group, VFIO_GROUP_GET_STATUS, status);
  }
};

// A device of vfio-pci with one of the host beside it.
const std::vector<Placed> kShared{{kFirst, &fake_devices::kEdu, 1},
                                  {kSecond, &fake_devices::kPciTestdev, 1, "nvme"}};

}  // namespace

TEST_CASE("a device that nobody has open is free at once", "[drivers]") {
  Lab lab;
  CHECK(lab.Unbind() == 0);
  CHECK(lab.freed == 1);
  CHECK(lab.slot().driver().empty());
  CHECK(lab.Open("1") == -ENOENT);
  CHECK(lab.Bind() == 0);
  CHECK(lab.Status(lab.OpenGroup(1)) == 0);
}

TEST_CASE("unbind waits for the last file, and REQ tells its client", "[drivers]") {
  Lab lab;
  const Opened opened = lab.OpenAll();
  const int second = lab.OpenDevice(opened.group);
  const int eventfd = lab.client.AddEventfd();
  REQUIRE(lab.SetTriggers(opened.device, VFIO_PCI_REQ_IRQ_INDEX, 0, {eventfd}) == 0);
  CHECK(lab.Unbind() == 0);
  CHECK(lab.Unbind() == 0);
  CHECK(lab.client.Signals(eventfd) == 1);
  CHECK(lab.GetDevice(opened.group, kName) == -ENODEV);
  CHECK(lab.Ioctl(opened.device, VFIO_DEVICE_RESET) == -EAGAIN);
  lab.Close(opened.device);
  CHECK(lab.freed == 0);
  lab.Close(second);
  CHECK(lab.freed == 2);
  CHECK(lab.Status(opened.group) == -ENODEV);
}

TEST_CASE("a group that has lost its devices has left its container for good", "[drivers]") {
  Lab lab;
  const Opened opened = lab.OpenDomain();
  CHECK(lab.Unbind() == 0);
  CHECK(lab.Bind() == 0);
  CHECK(lab.Map(opened.container, 0x100000, Bench::kArguments, kPageSize) == -EINVAL);
  CHECK(lab.Status(opened.group) == -ENODEV);
  CHECK(lab.SetContainer(opened.group, opened.container) == -ENODEV);
  const int again = lab.OpenGroup(1);
  CHECK(lab.SetContainer(again, opened.container) == 0);
  lab.Close(opened.group);
  CHECK(lab.Status(again) == 0);
}

TEST_CASE("no driver of the host gets a device of a group that user space owns", "[drivers]") {
  Lab lab(kShared);
  const std::string other = kSecond.ToString();
  const int container = lab.OpenContainer(), group = lab.OpenGroup(1);
  CHECK(lab.SetContainer(group, container) == -EPERM);
  CHECK(lab.Unbind("nvme", other) == 0);
  CHECK(lab.SetContainer(group, container) == 0);
  CHECK(lab.Bind("nvme", other) == EBUSY);
  CHECK(Lab::Code(lab.bus.Probe(other)) == EINVAL);
  lab.slot(kSecond).set_driver_override("vfio-pci");
  CHECK(lab.Bind("vfio-pci", other) == 0);
}

TEST_CASE("a driver takes what it matches, and nothing that another has", "[drivers]") {
  Lab lab(kShared);
  CHECK(lab.Bind("nvme") == ENODEV);
  CHECK(lab.Bind("vfio-pci", kSecond.ToString()) == ENODEV);
  CHECK(lab.Bind() == EBUSY);
  CHECK(lab.Unbind("nvme") == ENODEV);
  CHECK(lab.Bind("vfio-pci", "0000:00:1e.7") == ENODEV);
  CHECK(lab.Bind("vfio-pci", "1:0.0") == ENODEV);
  CHECK(lab.Unbind("vfio-pci", kName + "\n") == 0);
}

TEST_CASE("new_id binds what has no driver and no override", "[drivers]") {
  Lab lab;
  const auto give = [&](std::string_view text) {
    return Lab::Code(lab.bus.NewId("vfio-pci", text));
  };
  REQUIRE(lab.Unbind() == 0);
  lab.slot().set_driver_override("other");
  CHECK(give("1234") == EINVAL);
  CHECK(give("1234 z") == EINVAL);
  CHECK(give("0x1234 11e8\n") == 0);
  CHECK(give("1234 11e8") == EEXIST);
  CHECK(lab.slot().driver().empty());
  CHECK(Lab::Code(lab.bus.RemoveId("vfio-pci", "1234 11e8")) == 0);
  CHECK(Lab::Code(lab.bus.RemoveId("vfio-pci", "1234 11e8")) == ENODEV);
  lab.slot().set_driver_override(std::nullopt);
  CHECK(give("1234 11e8 0 0 0 0 0") == 0);
  CHECK(lab.slot().driver() == "vfio-pci");
}
