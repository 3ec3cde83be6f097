// Drivers of platform devices, and groups with devices of both kinds.
#include <catch2/catch.hpp>

#include "support/platform_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

struct Lab : Bench {
  explicit Lab(std::vector<PlacedPlatform> platform = {{kPlatform, &kPlainPlatform, 1}},
               std::vector<Placed> devices = {}, bool reset_required = true)
      : Bench(std::move(devices), VtdIommu(), {.platform_reset_required = reset_required},
              std::move(platform)) {}
  PlatformBusType& bus = machine.platform_bus();
  PlatformSlot& device = *machine.platform_device(kPlatform);
  int freed = 0;
  // 0 or the errno.
  int Unbind(const std::string& driver = "vfio-platform", const std::string& name = kPlatform) {
    return Code(bus.Unbind(driver, name, [this] { ++freed; }));
  }
  int Bind(const std::string& driver = "vfio-platform", const std::string& name = kPlatform) {
    return Code(bus.Bind(driver, name));
  }
  static int Code(const Result<>& result) { return result ? 0 : result.error().code; }
  bool Viable(int group) {
    vfio_group_status status{.argsz = sizeof status};
    Must(Ioctl(group, VFIO_GROUP_GET_STATUS, status) == 0);
    return status.flags & VFIO_GROUP_FLAGS_VIABLE;
  }
};

}  // namespace

TEST_CASE("a platform device that nobody has open is free at once", "[platform]") {
  Lab lab;
  CHECK(lab.Unbind() == 0);
  CHECK(lab.freed == 1);
  CHECK(lab.device.driver().empty());
  CHECK(lab.Open("1") == -ENOENT);
  CHECK(lab.Unbind() == ENODEV);
  CHECK(lab.Bind("vfio-platform", "fe000000.plain\n") == 0);
  CHECK(lab.Bind() == EBUSY);
  CHECK(lab.OpenGroup(1) >= 0);
}

TEST_CASE("unbind of a platform device waits for the last file", "[platform]") {
  Lab lab;
  const Opened opened = lab.OpenDomain();
  const auto first = static_cast<int>(lab.GetDevice(opened.group, kPlatform));
  const auto second = static_cast<int>(lab.GetDevice(opened.group, kPlatform));
  CHECK(lab.Unbind() == 0);
  CHECK(lab.Unbind() == 0);
  CHECK(lab.GetDevice(opened.group, kPlatform) == -ENODEV);
  CHECK(lab.Ioctl(first, VFIO_DEVICE_RESET) == 0);
  lab.Close(first);
  CHECK(lab.freed == 0);
  lab.Close(second);
  CHECK(lab.freed == 2);
}

TEST_CASE("a driver that no override names gets no platform device", "[platform]") {
  Lab lab({{kPlatform, &kPlainPlatform, 1, "plain-host"}});
  CHECK(lab.Unbind("plain-host") == 0);
  CHECK(lab.Bind() == ENODEV);
  lab.device.set_driver_override("vfio-platform");
  CHECK(lab.Bind("plain-host") == ENODEV);
  CHECK(lab.Bind() == 0);
  CHECK(lab.Unbind() == 0);
  lab.device.set_driver_override(std::nullopt);
  CHECK(lab.Bind() == ENODEV);
  CHECK(Lab::Code(lab.bus.Probe(kPlatform)) == 0);
  CHECK(lab.device.driver() == "plain-host");
  CHECK(Lab::Code(lab.bus.Probe("fe000000.nothing")) == ENODEV);
}

TEST_CASE("a platform device of the host keeps the group of a PCI device from being viable",
          "[platform]") {
  Lab lab({{kPlatform, &kPlainPlatform, 1, "plain-host"}}, {{kFirst, &fake_devices::kEdu, 1}});
  const int group = lab.OpenGroup(1);
  CHECK_FALSE(lab.Viable(group));
  CHECK(lab.SetContainer(group, lab.OpenContainer()) == -EPERM);
  CHECK(lab.Unbind("plain-host") == 0);
  CHECK(lab.Viable(group));
  CHECK(lab.SetContainer(group, lab.OpenContainer()) == 0);
  CHECK(lab.Bind("plain-host") == EBUSY);
}

TEST_CASE("one group gives devices of both kinds, and goes with the last", "[platform]") {
  Lab lab({{kPlatform, &kPlainPlatform, 1}}, {{kFirst, &fake_devices::kEdu, 1}});
  const Opened opened = lab.OpenAll();
  const auto platform = static_cast<int>(lab.GetDevice(opened.group, kPlatform));
  CHECK(platform >= 0);
  lab.Close(platform);
  CHECK(lab.Unbind() == 0);
  CHECK(lab.Viable(opened.group));
  lab.Close(opened.device);
  REQUIRE(lab.machine.pci_bus().Unbind("vfio-pci", kFirst.ToString(), [] {}));
  CHECK(lab.Open("1") == -ENOENT);
}

TEST_CASE("vfio-platform takes no device that cannot be reset, unless it is told to",
          "[platform]") {
  const std::vector<PlacedPlatform> placed{
      {.name = kPlatform, .model = &kPlainPlatform, .group = 1, .has_reset = false}};
  Lab strict(placed);
  CHECK(strict.device.driver().empty());
  CHECK(strict.Bind() == ENOENT);
  CHECK(Lab::Code(strict.bus.Probe(kPlatform)) == EINVAL);
  CHECK(strict.Open("1") == -ENOENT);
  Lab lenient(placed, {}, false);
  CHECK(lenient.device.driver() == "vfio-platform");
}
