// A small driver in user space, and a test of it.
#include <linux/vfio.h>
#include <sys/eventfd.h>

#include <catch2/catch.hpp>
#include <vfiolab/emulator.hpp>

// Has edu compute factorials, by its registers.
class FactorialDriver {
 public:
  FactorialDriver(vfiolab::Emulator& kernel, int device) : kernel_(kernel), device_(device) {}
  std::uint32_t Compute(std::uint32_t n) {
    std::uint32_t value = n;
    kernel_.Pwrite(device_, &value, 4, 0x08);
    while (kernel_.Pread(device_, &value, 4, 0x20), value & 1)
      kernel_.Advance(std::chrono::microseconds(1));
    kernel_.Pread(device_, &value, 4, 0x08);
    return value;
  }

 private:
  vfiolab::Emulator& kernel_;
  int device_;
};

TEST_CASE("the driver computes factorials") {
  vfiolab::Emulator kernel({{{"0000:01:00.0", "edu"}}, {{1, {"0000:01:00.0"}}}});
  int container = kernel.Open("/dev/vfio/vfio");
  const int group = kernel.Open("/dev/vfio/1");
  REQUIRE(kernel.Ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
  REQUIRE(kernel.Ioctl(container, VFIO_SET_IOMMU, reinterpret_cast<void*>(VFIO_TYPE1v2_IOMMU)) ==
          0);
  const int device = kernel.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0");
  REQUIRE(device >= 0);
  const std::uint16_t memory_and_master = 6;
  kernel.Pwrite(device, &memory_and_master, 2, (off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40) + 4);
  FactorialDriver driver(kernel, device);
  CHECK(driver.Compute(10) == 3628800);
}
