// /dev/vfio/vfio before and around the choice of an IOMMU model.
#include "client.hpp"

TEST_CASE("GET_API_VERSION is 0", "[container]") {
  Fd container = OpenContainer();
  CHECK(Ioctl(container, VFIO_GET_API_VERSION) == 0);
}

TEST_CASE("GET_API_VERSION is 0 with an IOMMU model too", "[container]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Ioctl(domain.container, VFIO_GET_API_VERSION) == 0);
}

TEST_CASE("a new container knows type1, type1 v2 and UNMAP_ALL", "[container]") {
  Fd container = OpenContainer();
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU) == 1);
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1);
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL) == 1);
}

TEST_CASE("a container does not know other platforms' IOMMUs, nor no-IOMMU mode", "[container]") {
  Fd container = OpenContainer();
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_SPAPR_TCE_IOMMU) == 0);
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_EEH) == 0);
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_SPAPR_TCE_v2_IOMMU) == 0);
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU) == 0);
}

TEST_CASE("CHECK_EXTENSION of a number nobody has defined is 0", "[container]") {
  Fd container = OpenContainer();
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, 0UL) == 0);
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, 1000UL) == 0);
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, ~0UL) == 0);
}

TEST_CASE("UPDATE_VADDR is known only once an IOMMU model is set", "[container]") {
  Domain domain{OpenContainer(), OpenGroup(Edu())};
  CHECK(Ioctl(domain.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) == 0);
  REQUIRE(SetContainer(domain.group, domain.container) == 0);
  CHECK(Ioctl(domain.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) == 0);
  REQUIRE(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
  CHECK(Ioctl(domain.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) == 1);
}

TEST_CASE("CHECK_EXTENSION of DMA_CC is 0 without an IOMMU model", "[container]") {
  Fd container = OpenContainer();
  CHECK(Ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) == 0);
}

TEST_CASE("with an IOMMU model set the container still knows both type1 models", "[container]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Ioctl(domain.container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU) == 1);
  CHECK(Ioctl(domain.container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1);
  CHECK(Ioctl(domain.container, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL) == 1);
}

TEST_CASE("SET_IOMMU without a group is EINVAL", "[container]") {
  Fd container = OpenContainer();
  CHECK(Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == Errno{EINVAL});
  CHECK(Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == Errno{EINVAL});
}

TEST_CASE("SET_IOMMU of an unknown model without a group is EINVAL, not ENODEV", "[container]") {
  Fd container = OpenContainer();
  CHECK(Ioctl(container, VFIO_SET_IOMMU, 1000UL) == Errno{EINVAL});
}

TEST_CASE("SET_IOMMU of a model no driver claims is ENODEV", "[container]") {
  Domain domain{OpenContainer(), OpenGroup(Edu())};
  REQUIRE(SetContainer(domain.group, domain.container) == 0);
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, 0UL) == Errno{ENODEV});
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, 1000UL) == Errno{ENODEV});
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU) == Errno{ENODEV});
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_DMA_CC_IOMMU) == Errno{ENODEV});
}

TEST_CASE("SET_IOMMU of an extension that is not a model is EINVAL", "[container]") {
  Domain domain{OpenContainer(), OpenGroup(Edu())};
  REQUIRE(SetContainer(domain.group, domain.container) == 0);
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_UNMAP_ALL) == Errno{EINVAL});
}

TEST_CASE("after a refused SET_IOMMU a good one succeeds", "[container]") {
  Domain domain{OpenContainer(), OpenGroup(Edu())};
  REQUIRE(SetContainer(domain.group, domain.container) == 0);
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, 1000UL) == Errno{ENODEV});
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
}

TEST_CASE("SET_IOMMU accepts type1 v1", "[container]") {
  Domain domain{OpenContainer(), OpenGroup(Edu())};
  REQUIRE(SetContainer(domain.group, domain.container) == 0);
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == 0);
}

TEST_CASE("a second SET_IOMMU is EINVAL, whatever the model", "[container]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == Errno{EINVAL});
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == Errno{EINVAL});
  CHECK(Ioctl(domain.container, VFIO_SET_IOMMU, 1000UL) == Errno{EINVAL});
}

TEST_CASE("without an IOMMU model every other ioctl is EINVAL, even with a bad pointer",
          "[container]") {
  Fd container = OpenContainer();
  CHECK(Ioctl(container, VFIO_IOMMU_GET_INFO, Nowhere()) == Errno{EINVAL});
  CHECK(Ioctl(container, VFIO_IOMMU_MAP_DMA, Nowhere()) == Errno{EINVAL});
  CHECK(Ioctl(container, VFIO_IOMMU_UNMAP_DMA, Nowhere()) == Errno{EINVAL});
  CHECK(Ioctl(container, VFIO_IOMMU_DIRTY_PAGES, Nowhere()) == Errno{EINVAL});
  CHECK(Ioctl(container, VFIO_IOMMU_ENABLE) == Errno{EINVAL});
  CHECK(Ioctl(container, VFIO_GROUP_GET_STATUS, Nowhere()) == Errno{EINVAL});
  CHECK(Ioctl(container, _IO(VFIO_TYPE, VFIO_BASE + 99)) == Errno{EINVAL});
}

TEST_CASE("a group in the container does not make its IOMMU ioctls work before SET_IOMMU",
          "[container]") {
  Pages memory(1);
  Domain domain{OpenContainer(), OpenGroup(Edu())};
  REQUIRE(SetContainer(domain.group, domain.container) == 0);
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == Errno{EINVAL});
  CHECK(Unmap(domain.container, kIova, kPage) == Errno{EINVAL});
}

TEST_CASE("with type1 an ioctl it does not know is ENOTTY", "[container]") {
  Domain domain = OpenDomain(Edu());
  CHECK(Ioctl(domain.container, _IO(VFIO_TYPE, VFIO_BASE + 99)) == Errno{ENOTTY});
  CHECK(Ioctl(domain.container, VFIO_IOMMU_ENABLE) == Errno{ENOTTY});
  CHECK(Ioctl(domain.container, VFIO_IOMMU_DISABLE) == Errno{ENOTTY});
  CHECK(Ioctl(domain.container, VFIO_GROUP_GET_STATUS, Nowhere()) == Errno{ENOTTY});
  CHECK(Ioctl(domain.container, VFIO_DEVICE_RESET) == Errno{ENOTTY});
}

TEST_CASE("the container has no read, write or mmap", "[container]") {
  char byte = 0;
  Fd container = OpenContainer();
  CHECK(Result::Of(::read(container, &byte, 1)) == Errno{EINVAL});
  CHECK(Result::Of(::write(container, &byte, 1)) == Errno{EINVAL});
  CHECK(::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, container, 0) == MAP_FAILED);
  CHECK(errno == ENODEV);
}

TEST_CASE("each open of the container node is a container of its own", "[container]") {
  Domain first = OpenDomain(Edu());
  Domain second = OpenDomain(Testdev());
  Pages memory(1);
  CHECK(Map(first.container, kIova, memory.Data(), kPage) == 0);
  CHECK(Map(second.container, kIova, memory.Data(), kPage) == 0);
  CHECK(Unmap(first.container, kIova, kPage) == kPage);
  CHECK(Unmap(second.container, kIova, kPage) == kPage);
}

TEST_CASE("a read-only open of the container gives a full container", "[container]") {
  Pages memory(1);
  Fd container(::open("/dev/vfio/vfio", O_RDONLY | O_CLOEXEC));
  Fd group = OpenGroup(Edu());
  REQUIRE(SetContainer(group, container) == 0);
  REQUIRE(Ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
  CHECK(Map(container, kIova, memory.Data(), kPage) == 0);
}
