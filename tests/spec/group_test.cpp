// /dev/vfio/GROUP: who may open it, what it says, and how it joins and leaves a container.
#include "client.hpp"

namespace {

Result Status(int group, vfio_group_status& status) {
  return Ioctl(group, VFIO_GROUP_GET_STATUS, &status);
}

uint32_t StatusFlags(int group) {
  vfio_group_status status{sizeof status, 0};
  REQUIRE(Status(group, status) == 0);
  return status.flags;
}

}  // namespace

TEST_CASE("a group can be opened once; the second open is EBUSY", "[group]") {
  Fd group = OpenGroup(Edu());
  CHECK(TryOpen(GroupPath(Edu())) == Errno{EBUSY});
}

TEST_CASE("a closed group can be opened again", "[group]") {
  for (int i = 0; i < 20; i++) {
    Fd group = OpenGroup(Edu());
    CHECK(TryOpen(GroupPath(Edu())) == Errno{EBUSY});
  }
}

TEST_CASE("different groups can be open at the same time", "[group]") {
  Fd edu = OpenGroup(Edu());
  Fd testdev = OpenGroup(Testdev());
  CHECK(StatusFlags(edu) == VFIO_GROUP_FLAGS_VIABLE);
  CHECK(StatusFlags(testdev) == VFIO_GROUP_FLAGS_VIABLE);
}

TEST_CASE("a new group is VIABLE and in no container", "[group]") {
  Fd group = OpenGroup(Edu());
  CHECK(StatusFlags(group) == VFIO_GROUP_FLAGS_VIABLE);
}

TEST_CASE("GET_STATUS says VIABLE and CONTAINER_SET while the group is in a container", "[group]") {
  Fd container = OpenContainer();
  Fd group = OpenGroup(Edu());
  REQUIRE(SetContainer(group, container) == 0);
  CHECK(StatusFlags(group) == (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET));
  REQUIRE(Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
  CHECK(StatusFlags(group) == (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET));
  REQUIRE(Ioctl(group, VFIO_GROUP_UNSET_CONTAINER) == 0);
  CHECK(StatusFlags(group) == VFIO_GROUP_FLAGS_VIABLE);
}

TEST_CASE("GET_STATUS with argsz below 8 is EINVAL", "[group]") {
  Fd group = OpenGroup(Edu());
  vfio_group_status status{7, 0};
  CHECK(Status(group, status) == Errno{EINVAL});
  status.argsz = 0;
  CHECK(Status(group, status) == Errno{EINVAL});
}

TEST_CASE("GET_STATUS accepts a larger argsz and ignores flags on the way in", "[group]") {
  Fd group = OpenGroup(Edu());
  vfio_group_status status{4096, 0xffffffff};
  CHECK(Status(group, status) == 0);
  CHECK(status.flags == VFIO_GROUP_FLAGS_VIABLE);
  CHECK(status.argsz == 4096);
}

TEST_CASE("SET_CONTAINER with a descriptor that is not open is EBADF", "[group]") {
  Fd group = OpenGroup(Edu());
  CHECK(SetContainer(group, -1) == Errno{EBADF});
  CHECK(SetContainer(group, 1000000) == Errno{EBADF});
}

TEST_CASE("SET_CONTAINER with a file that is no container is EBADFD", "[group]") {
  Fd group = OpenGroup(Edu());
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  CHECK(SetContainer(group, null) == Errno{EBADFD});
  CHECK(SetContainer(group, group) == Errno{EBADFD});
  CHECK(SetContainer(group, Event()) == Errno{EBADFD});
}

TEST_CASE("SET_CONTAINER of a group that has a container is EINVAL", "[group]") {
  Fd container = OpenContainer(), other = OpenContainer();
  Fd group = OpenGroup(Edu());
  REQUIRE(SetContainer(group, container) == 0);
  CHECK(SetContainer(group, container) == Errno{EINVAL});
  CHECK(SetContainer(group, other) == Errno{EINVAL});
}

TEST_CASE("a bad descriptor is found before the container that is already set", "[group]") {
  Fd container = OpenContainer();
  Fd group = OpenGroup(Edu());
  REQUIRE(SetContainer(group, container) == 0);
  CHECK(SetContainer(group, -1) == Errno{EBADF});
  CHECK(SetContainer(group, Event()) == Errno{EINVAL});
}

TEST_CASE("UNSET_CONTAINER of a group without a container is EINVAL", "[group]") {
  Fd group = OpenGroup(Edu());
  CHECK(Ioctl(group, VFIO_GROUP_UNSET_CONTAINER) == Errno{EINVAL});
}

TEST_CASE("UNSET_CONTAINER twice is EINVAL", "[group]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Ioctl(domain.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
  CHECK(Ioctl(domain.group, VFIO_GROUP_UNSET_CONTAINER) == Errno{EINVAL});
}

TEST_CASE("UNSET_CONTAINER with a device open is EBUSY, and works after its close", "[group]") {
  Client client = OpenClient(Edu());
  CHECK(Ioctl(client.group, VFIO_GROUP_UNSET_CONTAINER) == Errno{EBUSY});
  client.device.Close();
  CHECK(Ioctl(client.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
}

TEST_CASE("when its last group leaves, the container has no IOMMU model and no mappings",
          "[group]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  REQUIRE(Ioctl(domain.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
  CHECK(Unmap(domain.container, kIova, kPage) == Errno{EINVAL});
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == Errno{EINVAL});

  REQUIRE(SetContainer(domain.group, domain.container) == 0);
  REQUIRE(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == 0);
}

TEST_CASE("a container can change its model after all its groups have left", "[group]") {
  Domain domain = OpenDomain(Edu(), VFIO_TYPE1v2_IOMMU);
  REQUIRE(Ioctl(domain.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
  REQUIRE(SetContainer(domain.group, domain.container) == 0);
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == 0);
}

TEST_CASE("two groups can share a container, and its mappings outlive the first to leave",
          "[group]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  Fd testdev = OpenGroup(Testdev());
  CHECK(SetContainer(testdev, domain.container) == 0);
  CHECK(StatusFlags(testdev) == (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET));
  CHECK(Ioctl(domain.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == Errno{EEXIST});
  CHECK(Unmap(domain.container, kIova, kPage) == kPage);
}

TEST_CASE("a group that joins a container with a model can open its device at once", "[group]") {
  Domain domain = OpenDomain(Edu());
  Fd testdev = OpenGroup(Testdev());
  REQUIRE(SetContainer(testdev, domain.container) == 0);
  CHECK(OpenDevice(testdev, Testdev()) >= 0);
}

TEST_CASE("GET_DEVICE_FD of a name that is not in the group is ENODEV", "[group]") {
  Domain domain = OpenDomain(Edu());
  CHECK(GetDeviceFd(domain.group, "") == Errno{ENODEV});
  CHECK(GetDeviceFd(domain.group, "ffff:ff:1f.7") == Errno{ENODEV});
  CHECK(GetDeviceFd(domain.group, Testdev()) == Errno{ENODEV});
  CHECK(GetDeviceFd(domain.group, Edu().substr(0, 11)) == Errno{ENODEV});
  CHECK(GetDeviceFd(domain.group, Edu().substr(5)) == Errno{ENODEV});
  CHECK(GetDeviceFd(domain.group, Edu() + "0") == Errno{ENODEV});
  CHECK(GetDeviceFd(domain.group, " " + Edu()) == Errno{ENODEV});
}

TEST_CASE("GET_DEVICE_FD without a container is EINVAL", "[group]") {
  Fd group = OpenGroup(Edu());
  CHECK(GetDeviceFd(group, Edu()) == Errno{EINVAL});
}

TEST_CASE("GET_DEVICE_FD before SET_IOMMU is EINVAL", "[group]") {
  Fd container = OpenContainer();
  Fd group = OpenGroup(Edu());
  REQUIRE(SetContainer(group, container) == 0);
  CHECK(GetDeviceFd(group, Edu()) == Errno{EINVAL});
}

TEST_CASE("GET_DEVICE_FD finds an unknown name before a missing container", "[group]") {
  Fd group = OpenGroup(Edu());
  CHECK(GetDeviceFd(group, "ffff:ff:1f.7") == Errno{ENODEV});
}

TEST_CASE("GET_DEVICE_FD of a name that does not end within 4096 bytes is EINVAL", "[group]") {
  Domain domain = OpenDomain(Edu());
  CHECK(GetDeviceFd(domain.group, std::string(5000, 'x')) == Errno{EINVAL});
}

TEST_CASE("GET_DEVICE_FD of a known name followed by anything but a VF token is EINVAL",
          "[group]") {
  Domain domain = OpenDomain(Edu());
  CHECK(GetDeviceFd(domain.group, Edu() + " nonsense") == Errno{EINVAL});
  CHECK(GetDeviceFd(domain.group, Edu() + " vf_token=") == Errno{EINVAL});
  CHECK(GetDeviceFd(domain.group, Edu() + " vf_token=1234") == Errno{EINVAL});
}

TEST_CASE("GET_DEVICE_FD with a VF token for a device without virtual functions is EINVAL",
          "[group]") {
  Domain domain = OpenDomain(Edu());
  CHECK(GetDeviceFd(domain.group, Edu() + " vf_token=2ab74924-c335-45f4-9b16-8569e5b08258") ==
        Errno{EINVAL});
}

TEST_CASE("GET_DEVICE_FD gives a descriptor that is read-write and closed by exec", "[group]") {
  Client client = OpenClient(Edu());
  CHECK(::fcntl(client.device, F_GETFD) == FD_CLOEXEC);
  CHECK((::fcntl(client.device, F_GETFL) & O_ACCMODE) == O_RDWR);
}

TEST_CASE("GET_DEVICE_FD gives a new descriptor each time", "[group]") {
  Client client = OpenClient(Edu());
  Fd second = OpenDevice(client.group, Edu());
  CHECK(second >= 0);
  CHECK(second != client.device);
}

TEST_CASE("an ioctl the group does not know is ENOTTY", "[group]") {
  Fd group = OpenGroup(Edu());
  CHECK(Ioctl(group, _IO(VFIO_TYPE, VFIO_BASE + 99)) == Errno{ENOTTY});
  CHECK(Ioctl(group, VFIO_GET_API_VERSION) == Errno{ENOTTY});
  CHECK(Ioctl(group, VFIO_DEVICE_GET_INFO, Nowhere()) == Errno{ENOTTY});
  CHECK(Ioctl(group, VFIO_IOMMU_MAP_DMA, Nowhere()) == Errno{ENOTTY});
}

TEST_CASE("the group has no read, write or mmap", "[group]") {
  char byte = 0;
  Fd group = OpenGroup(Edu());
  CHECK(Result::Of(::read(group, &byte, 1)) == Errno{EINVAL});
  CHECK(Result::Of(::write(group, &byte, 1)) == Errno{EINVAL});
  CHECK(::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, group, 0) == MAP_FAILED);
  CHECK(errno == ENODEV);
}

TEST_CASE("groups that joined before SET_IOMMU are all attached by it", "[group]") {
  Fd container = OpenContainer();
  Fd edu = OpenGroup(Edu()), testdev = OpenGroup(Testdev());
  REQUIRE(SetContainer(edu, container) == 0);
  REQUIRE(SetContainer(testdev, container) == 0);
  CHECK(Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
  CHECK(OpenDevice(edu, Edu()) >= 0);
  CHECK(OpenDevice(testdev, Testdev()) >= 0);
}
