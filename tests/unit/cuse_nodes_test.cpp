// CUSE devices and their numbers follow the nodes.
#include <sys/sysmacros.h>

#include "support/cuse_bench.hpp"
#include "support/sample_machine.hpp"
#include "support/tree_reader.hpp"
#include "sysfs/sysfs.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

TEST_CASE("each node becomes a device with a name of its own, under one major number") {
  Served served;
  served.nodes.Add("7", served.NewNode(0600));
  served.nodes.Add("vfio", served.NewNode(0666));
  served.Run();
  const dev_t group = served.cuse.NodeNumber("7"), container = served.cuse.NodeNumber("vfio");
  CHECK(group != container);
  CHECK(major(group) == major(container));
  CHECK(served.cuse.NodePermissions("7") % 01000 == 0600);
  CHECK(served.cuse.NodePermissions("vfio") % 01000 == 0666);
  const auto device = served.cuse.DeviceOf(container);
  CHECK(device.name == "DEVNAME=vfiolab/test/2-vfio");
  CHECK(device.answer.major == FUSE_KERNEL_VERSION);
  CHECK(device.answer.flags == CUSE_UNRESTRICTED_IOCTL);
  CHECK(device.answer.max_read >= 4096);
  CHECK(device.answer.max_write >= 4096);
  const auto node = std::dynamic_pointer_cast<DeviceNode>(served.nodes.Lookup("vfio"));
  CHECK(node->number() == container);
}

TEST_CASE("CUSE nodes come and go with the directory") {
  OneNode served;
  CHECK(served.cuse.NodeNumber("9") == 0);
  served.loop.Ask([&] { return served.nodes.Add("9", served.NewNode()), 0; });
  const dev_t number = served.cuse.NodeNumber("9");
  REQUIRE(number != 0);
  const u64 handle = served.MustOpen(number);
  served.loop.Ask([&] { return served.nodes.Remove("9"), 0; });
  CHECK(served.cuse.NodeNumber("9") == 0);
  // Open files stay, nobody opens it any more, and a node of that name is another device.
  CHECK(served.Open(number).error == ENODEV);
  served.loop.Ask([&] { return served.nodes.Add("9", served.NewNode()), 0; });
  const dev_t again = served.cuse.NodeNumber("9");
  REQUIRE(again != 0);
  CHECK(again != number);
  int value = 0;
  CHECK(served.Ioctl(number, handle, kIncrement, reinterpret_cast<u64>(&value)) == 7);
  CHECK(served.Release(number, handle) == 0);
  CHECK(served.cuse.IsClosed(number));
  CHECK(served.open_files == 0);
  const u64 other = served.MustOpen(again);
  CHECK(served.Ioctl(again, other, kIncrement, reinterpret_cast<u64>(&value)) == 7);
}

TEST_CASE("The number of a group is that of its node, where a transport gave it one") {
  test::SampleMachine sample;
  Directory sys, nodes;
  const auto open = [](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
    return Fail(ENXIO, "only looked at");
  };
  const auto node = std::make_shared<DeviceNode>(0600, open);
  nodes.Add("6", node);
  nodes.Add("7", std::make_shared<DeviceNode>(0600, open));
  sysfs::AddSysfs(sample.machine, sys, 1, &nodes);
  CHECK(test::TextAt(sys, "class/vfio/6/dev") == "385:0\n");
  node->set_number(makedev(240, 7));
  CHECK(test::TextAt(sys, "class/vfio/6/dev") == "240:7\n");
  CHECK(test::TextAt(sys, "class/vfio/6/uevent") == "MAJOR=240\nMINOR=7\nDEVNAME=vfio/6\n");
  CHECK(test::TextAt(sys, "class/vfio/7/dev") == "385:2\n");
}
