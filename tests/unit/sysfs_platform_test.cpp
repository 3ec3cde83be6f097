// Platform devices in /sys.
#include <fcntl.h>

#include <catch2/catch.hpp>

#include "support/platform_bench.hpp"
#include "support/tree_reader.hpp"
#include "sysfs/sysfs.hpp"

namespace vfiolab::sysfs {
namespace {

using namespace test;
using Names = std::vector<std::string>;

const std::string kDevice = std::string("devices/platform/") + kPlatform;
const std::string kDriver = "bus/platform/drivers/vfio-platform";

struct Sysfs : Bench {
  explicit Sysfs(std::vector<PlacedPlatform> placed = {{kPlatform, &kPlainPlatform, 1}})
      : Bench({{kFirst, &fake_devices::kEdu, 1}}, VtdIommu(), {}, std::move(placed)) {
    AddSysfs(machine, sys);
  }
  std::string Text(const std::string& path) const { return TextAt(sys, path); }
  std::string Link(const std::string& path) const { return LinkAt(sys, path); }
  // The number of bytes taken, or -errno; 0 while it waits.
  long Write(const std::string& path, const std::string& text) {
    Reply opened = OpenAt(sys, path, O_WRONLY);
    Must(opened.completion().opened != nullptr);
    Reply reply = opened.completion().opened->Write(client, std::as_bytes(std::span{text}), 0);
    if (reply.deferred()) return 0;
    const Result<long>& value = reply.completion().value;
    return value ? *value : -value.error().code;
  }

  Directory sys;
};

}  // namespace

TEST_CASE("a platform device tells what it is, as one of a device tree", "[sysfs][platform]") {
  const Sysfs sysfs;
  CHECK(sysfs.Text(kDevice + "/modalias") == "of:NplainT(null)Cvfiolab,plain\n");
  CHECK(sysfs.Text(kDevice + "/uevent") ==
        "DRIVER=vfio-platform\nOF_NAME=plain\nOF_FULLNAME=/plain@fe000000\n"
        "OF_COMPATIBLE_0=vfiolab,plain\nOF_COMPATIBLE_N=1\n"
        "MODALIAS=of:NplainT(null)Cvfiolab,plain\n");
  CHECK(sysfs.Text(kDevice + "/driver_override") == "vfio-platform\n");
}

TEST_CASE("a platform device is linked with its bus, group, driver and IOMMU",
          "[sysfs][platform]") {
  const Sysfs sysfs;
  CHECK(sysfs.Link(kDevice + "/subsystem") == "../../../bus/platform");
  CHECK(sysfs.Link(kDevice + "/driver") == "../../../bus/platform/drivers/vfio-platform");
  CHECK(sysfs.Link(kDevice + "/iommu_group") == "../../../kernel/iommu_groups/1");
  CHECK(sysfs.Link(kDevice + "/iommu") == "../../virtual/iommu/dmar0");
  const std::string device = "../../../devices/platform/fe000000.plain";
  CHECK(sysfs.Link("bus/platform/devices/fe000000.plain") == device);
  CHECK(sysfs.Link(kDriver + "/fe000000.plain") == "../" + device);
  CHECK(NamesAt(sysfs.sys, "kernel/iommu_groups/1/devices") ==
        Names{"0000:01:00.0", "fe000000.plain"});
  CHECK(NamesAt(sysfs.sys, "devices/virtual/iommu/dmar0/devices") ==
        Names{"0000:01:00.0", "fe000000.plain"});
}

TEST_CASE("devices of both kinds share the classes of VFIO", "[sysfs][platform]") {
  Sysfs sysfs;
  CHECK(NamesAt(sysfs.sys, "class/vfio") == Names{"1"});
  CHECK(NamesAt(sysfs.sys, "class/vfio-dev") == Names{"vfio0", "vfio1"});
  CHECK(sysfs.Link(kDevice + "/vfio-dev/vfio1/device") == "../../../fe000000.plain");
  CHECK(sysfs.Write(kDriver + "/unbind", kPlatform) > 0);
  CHECK(NamesAt(sysfs.sys, "class/vfio") == Names{"1"});
  CHECK(NamesAt(sysfs.sys, "class/vfio-dev") == Names{"vfio0"});
  CHECK(sysfs.Link(kDevice + "/driver") == "(none)");
  CHECK(sysfs.Write("bus/pci/drivers/vfio-pci/unbind", "0000:01:00.0") > 0);
  CHECK(NamesAt(sysfs.sys, "class/vfio").empty());
  CHECK(sysfs.Write(kDriver + "/bind", std::string(kPlatform) + "\n") == 15);
  CHECK(NamesAt(sysfs.sys, "class/vfio-dev") == Names{"vfio0"});
}

TEST_CASE("drivers of platform devices are changed by bind, unbind and driver_override",
          "[sysfs][platform]") {
  Sysfs sysfs({{kPlatform, &kPlainPlatform, 1, "plain-host"}});
  const std::string host = "bus/platform/drivers/plain-host";
  CHECK(sysfs.Text(kDevice + "/driver_override") == "(null)\n");
  CHECK(sysfs.Write(kDriver + "/bind", kPlatform) == -ENODEV);
  CHECK(sysfs.Write(kDevice + "/driver_override", "vfio-platform\n") == 14);
  CHECK(sysfs.Write("bus/platform/drivers_probe", kPlatform) > 0);  // it has a driver
  CHECK(sysfs.Write(kDriver + "/bind", kPlatform) == -EBUSY);
  CHECK(sysfs.Write(host + "/unbind", kPlatform) > 0);
  CHECK(sysfs.Write(host + "/bind", kPlatform) == -ENODEV);
  CHECK(sysfs.Write("bus/platform/drivers_probe", kPlatform) > 0);
  CHECK(sysfs.Link(kDevice + "/driver") == "../../../bus/platform/drivers/vfio-platform");
  CHECK(sysfs.Write("bus/platform/drivers_probe", "nothing") == -ENODEV);
  CHECK(sysfs.Write(kDevice + "/driver_override", "\n") == 1);
  CHECK(sysfs.Text(kDevice + "/driver_override") == "(null)\n");
}

TEST_CASE("unbind of a platform device waits while it is open", "[sysfs][platform]") {
  Sysfs sysfs;
  const Opened opened = sysfs.OpenDomain();
  const auto device = static_cast<int>(sysfs.GetDevice(opened.group, kPlatform));
  CHECK(sysfs.Write(kDriver + "/unbind", kPlatform) == 0);
  CHECK(sysfs.machine.platform_device(kPlatform)->driver() == "vfio-platform");
  sysfs.Close(device);
  CHECK(sysfs.machine.platform_device(kPlatform)->driver().empty());
}

TEST_CASE("the modules of vfio-platform say what it requires", "[sysfs][platform]") {
  const Sysfs sysfs;
  CHECK(sysfs.Text("module/vfio_platform/parameters/reset_required") == "Y\n");
  CHECK(sysfs.Text("module/vfio_platform_base/refcnt") == "1\n");
  CHECK(sysfs.Link(kDriver + "/module") == "../../../../module/vfio_platform");
  CHECK(sysfs.Link("module/vfio_platform/drivers/platform:vfio-platform") ==
        "../../../bus/platform/drivers/vfio-platform");
}

TEST_CASE("without platform devices nothing of their bus is there", "[sysfs][platform]") {
  const Sysfs sysfs(std::vector<PlacedPlatform>{});
  CHECK(NamesAt(sysfs.sys, "bus") == Names{"pci"});
  CHECK(Resolve(sysfs.sys, "devices/platform").node == nullptr);
  CHECK(Resolve(sysfs.sys, "module/vfio_platform").node == nullptr);
}

}  // namespace vfiolab::sysfs
