#include <linux/vfio.h>

#include <catch2/catch.hpp>
#include <vfiolab/emulator.hpp>

// A driver of edu, which computes factorials. It makes its system calls by what it is given.
class Driver {
 public:
  Driver(vfiolab::Emulator& kernel, int device) : kernel_(kernel), device_(device) {}
  std::uint32_t Factorial(std::uint32_t n) {
    kernel_.Pwrite(device_, &n, 4, 0x08);
    std::uint32_t value = 0;
    while (kernel_.Pread(device_, &value, 4, 0x20) == 4 && (value & 1) != 0)
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
  int container = kernel.Open("/dev/vfio/vfio"), group = kernel.Open("/dev/vfio/1");
  REQUIRE(kernel.Ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
  REQUIRE(kernel.Ioctl(container, VFIO_SET_IOMMU, (void*)VFIO_TYPE1v2_IOMMU) == 0);
  Driver driver(kernel, kernel.Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0"));
  CHECK(driver.Factorial(10) == 3628800);
}
