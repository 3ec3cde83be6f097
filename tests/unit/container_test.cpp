// /dev/vfio/vfio before and after an IOMMU is set, and /dev/vfio/N.
#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

TEST_CASE("a container answers version 0 and cannot be read, written or mapped", "[container]") {
  Bench bench;
  const int container = bench.OpenContainer();
  std::array<std::byte, 4> bytes{};
  CHECK(bench.Ioctl(container, VFIO_GET_API_VERSION) == 0);
  CHECK(bench.Read(container, 0, bytes) == -EINVAL);
  CHECK(bench.Write(container, 0, bytes) == -EINVAL);
  CHECK(bench.Mmap(container, 0, 0x1000) == -ENODEV);
}

TEST_CASE("extensions of a container without an IOMMU", "[container]") {
  Bench bench;
  const int container = bench.OpenContainer();
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU) == 1);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_SPAPR_TCE_IOMMU) == 0);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) == 0);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_NESTING_IOMMU) == 0);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU) == 0);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL) == 1);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) == 0);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, 0x100000001) == 0);
}

TEST_CASE("extensions that only a container with an IOMMU has", "[container]") {
  Bench bench;
  const int container = bench.OpenDomain().container;
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) == 1);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) == 1);
}

TEST_CASE("an IOMMU that does not enforce coherency does not claim DMA_CC", "[container]") {
  Iommu iommu = VtdIommu();
  iommu.coherent = false;
  Bench bench({{kFirst, &fake_devices::kEdu, 1}}, iommu);
  const int container = bench.OpenDomain().container;
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) == 0);
}

TEST_CASE("an unknown ioctl and a type1 ioctl without an IOMMU are EINVAL", "[container]") {
  Bench bench;
  const int container = bench.OpenContainer();
  CHECK(bench.Ioctl(container, 0x3bff) == -EINVAL);
  CHECK(bench.Map(container, 0x100000, 0x1000, 0x1000) == -EINVAL);
  CHECK(bench.Ioctl(container, VFIO_IOMMU_GET_INFO, Bench::kArguments) == -EINVAL);
}

TEST_CASE("SET_IOMMU without a group is EINVAL, whatever the type", "[container]") {
  Bench bench;
  const int container = bench.OpenContainer();
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == -EINVAL);
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, 77) == -EINVAL);
}

TEST_CASE("SET_IOMMU tells types, extensions and nonsense apart", "[container]") {
  Bench bench;
  const int container = bench.OpenContainer();
  REQUIRE(bench.SetContainer(bench.OpenGroup(1), container) == 0);
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, 77) == -ENODEV);
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, VFIO_DMA_CC_IOMMU) == -ENODEV);
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_NESTING_IOMMU) == -ENODEV);
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, VFIO_UPDATE_VADDR) == -ENODEV);
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, VFIO_UNMAP_ALL) == -EINVAL);
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == 0);
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == -EINVAL);
}

TEST_CASE("SET_IOMMU without interrupt isolation is EPERM and leaves the container without one",
          "[container]") {
  Iommu iommu = VtdIommu();
  iommu.interrupt_isolation = false;
  Bench bench({{kFirst, &fake_devices::kEdu, 1}}, iommu);
  const int container = bench.OpenContainer();
  REQUIRE(bench.SetContainer(bench.OpenGroup(1), container) == 0);
  CHECK(bench.Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == -EPERM);
  CHECK(bench.Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) == 0);
  CHECK(bench.machine.groups().at(1).ioas() == nullptr);
}

TEST_CASE("GET_STATUS of a group says viable, and with a container both", "[group]") {
  Bench bench;
  const int group = bench.OpenGroup(1);
  vfio_group_status status{8, 99};
  CHECK(bench.Ioctl(group, VFIO_GROUP_GET_STATUS, status) == 0);
  CHECK(status.flags == VFIO_GROUP_FLAGS_VIABLE);
  REQUIRE(bench.SetContainer(group, bench.OpenContainer()) == 0);
  CHECK(bench.Ioctl(group, VFIO_GROUP_GET_STATUS, status) == 0);
  CHECK(status.flags == 3);
}

TEST_CASE("GET_STATUS with argsz 7 is EINVAL and with an unreadable argument EFAULT", "[group]") {
  Bench bench;
  const int group = bench.OpenGroup(1);
  vfio_group_status status{7, 0};
  CHECK(bench.Ioctl(group, VFIO_GROUP_GET_STATUS, status) == -EINVAL);
  CHECK(bench.Ioctl(group, VFIO_GROUP_GET_STATUS, 0xdead000) == -EFAULT);
}

TEST_CASE("a group with a device of a host driver is not viable and gets no container", "[group]") {
  Bench bench({{{0, 1, 0, 0}, &fake_devices::kEdu, 1}, {{0, 1, 0, 1}, &kBare, 1, "e1000e"}});
  const int group = bench.OpenGroup(1);
  vfio_group_status status{8, 99};
  CHECK(bench.Ioctl(group, VFIO_GROUP_GET_STATUS, status) == 0);
  CHECK(status.flags == 0);
  CHECK(bench.SetContainer(group, bench.OpenContainer()) == -EPERM);
}

TEST_CASE("a group with a device that has no driver is viable", "[group]") {
  Bench bench({{{0, 1, 0, 0}, &fake_devices::kEdu, 1}, {{0, 1, 0, 1}, &kBare, 1, ""}});
  CHECK(bench.SetContainer(bench.OpenGroup(1), bench.OpenContainer()) == 0);
}

TEST_CASE("a group without a device bound to vfio-pci has no node", "[group]") {
  Bench bench({{kFirst, &fake_devices::kEdu, 1, ""}});
  CHECK(bench.Open("1") == -ENOENT);
}

TEST_CASE("SET_CONTAINER names what is wrong with the descriptor", "[group]") {
  Bench bench;
  const int group = bench.OpenGroup(1);
  CHECK(bench.Ioctl(group, VFIO_GROUP_SET_CONTAINER, 0xdead000) == -EFAULT);
  CHECK(bench.SetContainer(group, -1) == -EBADF);
  CHECK(bench.SetContainer(group, 999) == -EBADF);
  CHECK(bench.SetContainer(group, bench.client.AddForeignFile()) == -EBADFD);
  CHECK(bench.SetContainer(group, bench.client.AddEventfd()) == -EBADFD);
  CHECK(bench.SetContainer(group, group) == -EBADFD);
}

TEST_CASE("SET_CONTAINER twice is EINVAL, but a bad descriptor is EBADF even then", "[group]") {
  Bench bench;
  const int group = bench.OpenGroup(1);
  REQUIRE(bench.SetContainer(group, bench.OpenContainer()) == 0);
  CHECK(bench.SetContainer(group, bench.OpenContainer()) == -EINVAL);
  CHECK(bench.SetContainer(group, bench.client.AddForeignFile()) == -EINVAL);
  CHECK(bench.SetContainer(group, 999) == -EBADF);
}

TEST_CASE("UNSET_CONTAINER without a container is EINVAL, with an open device EBUSY", "[group]") {
  Bench bench;
  const int fresh = bench.OpenGroup(1);
  CHECK(bench.Ioctl(fresh, VFIO_GROUP_UNSET_CONTAINER) == -EINVAL);
  bench.Close(fresh);
  const Opened opened = bench.OpenAll();
  CHECK(bench.Ioctl(opened.group, VFIO_GROUP_UNSET_CONTAINER) == -EBUSY);
  bench.Close(opened.device);
  CHECK(bench.Ioctl(opened.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
}

TEST_CASE("GET_DEVICE_FD needs a container with an IOMMU, after the device is found", "[group]") {
  Bench bench;
  const int group = bench.OpenGroup(1);
  CHECK(bench.GetDevice(group, "0000:09:00.0") == -ENODEV);
  CHECK(bench.GetDevice(group, "0000:01:00.0") == -EINVAL);
  const int container = bench.OpenContainer();
  REQUIRE(bench.SetContainer(group, container) == 0);
  CHECK(bench.GetDevice(group, "0000:01:00.0") == -EINVAL);
  REQUIRE(bench.Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == 0);
  CHECK(bench.GetDevice(group, "0000:01:00.0") >= 0);
}

TEST_CASE("GET_DEVICE_FD takes spaces after the name and no token", "[group]") {
  Bench bench;
  const int group = bench.OpenDomain().group;
  const std::string token = "vf_token=01234567-89ab-cdef-0123-456789abcdef";
  CHECK(bench.GetDevice(group, "0000:01:00.0  ") >= 0);
  CHECK(bench.GetDevice(group, "0000:01:00.0 " + token) == -EINVAL);
  CHECK(bench.GetDevice(group, "0000:01:00.0 vf_token=0123") == -EINVAL);
  CHECK(bench.GetDevice(group, "0000:01:00.0 color=red") == -EINVAL);
  CHECK(bench.GetDevice(group, "0000:01:00.01") == -ENODEV);
  CHECK(bench.GetDevice(group, "0000:01:00") == -ENODEV);
  CHECK(bench.GetDevice(group, "") == -ENODEV);
}

TEST_CASE("GET_DEVICE_FD with a name that runs out of memory is EFAULT, without an end EINVAL",
          "[group]") {
  Bench bench;
  const int group = bench.OpenDomain().group;
  bench.client.mm().Map(0x20000, 0x1000);
  bench.client.mm().Poke(0x20000, std::vector<std::byte>(0x1000, std::byte{'x'}));
  CHECK(bench.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, 0xdead000) == -EFAULT);
  CHECK(bench.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, 0x20001) == -EFAULT);
  CHECK(bench.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, 0x20000) == -EINVAL);
}

TEST_CASE("a name at the very end of readable memory is read", "[group]") {
  Bench bench;
  const int group = bench.OpenDomain().group;
  bench.client.mm().Map(0x20000, 0x1000);
  bench.client.mm().Put(0x21000 - 13, "0000:01:00.0");
  CHECK(bench.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, 0x21000 - 13) >= 0);
}

TEST_CASE("a device of another group or of a host driver is ENODEV", "[group]") {
  Bench bench({{kFirst, &fake_devices::kEdu, 1},
               {kSecond, &fake_devices::kEdu, 2},
               {kOnRootBus, &kBare, 1, ""}});
  const int group = bench.OpenDomain(1).group;
  CHECK(bench.GetDevice(group, "0000:02:00.0") == -ENODEV);
  CHECK(bench.GetDevice(group, "0000:00:05.0") == -ENODEV);
}

TEST_CASE("an unknown ioctl on a group is ENOTTY", "[group]") {
  Bench bench;
  CHECK(bench.Ioctl(bench.OpenGroup(1), VFIO_GET_API_VERSION) == -ENOTTY);
}
