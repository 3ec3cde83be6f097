// What type1 tells about itself, and its limits.
#include "type1_info.hpp"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "client.hpp"

namespace {

void DropLockCapability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  ::syscall(SYS_capget, &header, data);
  data[0].effective &= ~(1u << CAP_IPC_LOCK);
  ::syscall(SYS_capset, &header, data);
}

}  // namespace

// ---- IOMMU_GET_INFO ----

TEST_CASE("IOMMU_GET_INFO offers 4 KiB pages", "[type1][info]") {
  Domain domain = OpenDomain(Edu());
  Type1Info info = GetType1Info(domain.container);
  CHECK((info.header.flags & VFIO_IOMMU_INFO_PGSIZES) != 0);
  CHECK((info.header.iova_pgsizes & kPage) != 0);
  CHECK((info.header.iova_pgsizes & (kPage - 1)) == 0);
}

TEST_CASE(
    "IOMMU_GET_INFO carries the capabilities IOVA_RANGE, MIGRATION and DMA_AVAIL, all version 1",
    "[type1][info]") {
  Domain domain = OpenDomain(Edu());
  Type1Info info = GetType1Info(domain.container);
  CHECK((info.header.flags & VFIO_IOMMU_INFO_CAPS) != 0);
  CHECK(info.capabilities.size() == 3);
  for (int id : {VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
                 VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL})
    CHECK(GetCapability<vfio_info_cap_header>(info, static_cast<uint16_t>(id)).version == 1);
}

TEST_CASE("IOMMU_GET_INFO's IOVA ranges are in order and leave out the window of MSIs",
          "[type1][info]") {
  Domain domain = OpenDomain(Edu());
  uint64_t after = 0;
  for (IovaRange range : IovaRanges(domain.container)) {
    CHECK(range.start >= after);
    CHECK(range.end > range.start);
    CHECK((range.end < 0xfee00000 || range.start > 0xfeefffff));
    after = range.end + 1;
  }
}

TEST_CASE("IOMMU_GET_INFO's migration capability is for 4 KiB pages and bitmaps up to 256 MiB",
          "[type1][info]") {
  Domain domain = OpenDomain(Edu());
  auto migration = GetCapability<vfio_iommu_type1_info_cap_migration>(
      GetType1Info(domain.container), VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
  CHECK(migration.flags == 0);
  CHECK(migration.pgsize_bitmap == kPage);
  CHECK(migration.max_dirty_bitmap_size == 256 << 20);
}

TEST_CASE("IOMMU_GET_INFO with argsz below 16 is EINVAL", "[type1][info]") {
  Domain domain = OpenDomain(Edu());
  vfio_iommu_type1_info info{};
  info.argsz = 15;
  CHECK(Ioctl(domain.container, VFIO_IOMMU_GET_INFO, &info) == Errno{EINVAL});
}

TEST_CASE("IOMMU_GET_INFO with argsz 16 writes 16 bytes, and says how many there would be",
          "[type1][info]") {
  Domain domain = OpenDomain(Edu());
  vfio_iommu_type1_info info{};
  info.argsz = 16;
  info.cap_offset = 0x5a5a5a5a;
  CHECK(Ioctl(domain.container, VFIO_IOMMU_GET_INFO, &info) == 0);
  CHECK(info.argsz > sizeof info);
  CHECK(info.flags == (VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS));
  CHECK(info.cap_offset == 0x5a5a5a5a);
}

TEST_CASE("IOMMU_GET_INFO with room for the struct only says how much the capabilities need",
          "[type1][info]") {
  Domain domain = OpenDomain(Edu());
  size_t ranges = IovaRanges(domain.container).size();
  vfio_iommu_type1_info info{};
  info.argsz = sizeof info;
  info.cap_offset = 0x5a5a5a5a;
  CHECK(Ioctl(domain.container, VFIO_IOMMU_GET_INFO, &info) == 0);
  CHECK(info.argsz == sizeof info + 32 + 16 + 16 + 16 * ranges);
  CHECK((info.flags & VFIO_IOMMU_INFO_CAPS) != 0);
  CHECK(info.cap_offset == 0);
}

TEST_CASE("IOMMU_GET_INFO with exactly the room it asked for fills it and nothing behind",
          "[type1][info]") {
  Domain domain = OpenDomain(Edu());
  vfio_iommu_type1_info info{};
  info.argsz = sizeof info;
  REQUIRE(Ioctl(domain.container, VFIO_IOMMU_GET_INFO, &info) == 0);
  std::vector<uint8_t> buffer(info.argsz + 16, 0x5a);
  uint32_t room = info.argsz;
  std::memcpy(buffer.data(), &room, sizeof room);
  CHECK(Ioctl(domain.container, VFIO_IOMMU_GET_INFO, buffer.data()) == 0);
  std::memcpy(&info, buffer.data(), sizeof info);
  CHECK(info.argsz == room);
  CHECK(info.cap_offset >= sizeof info);
  for (size_t i = room; i < buffer.size(); i++) CHECK(buffer[i] == 0x5a);
}

// ---- Limits ----

TEST_CASE("each mapping takes one of the available entries, and each unmap gives it back",
          "[type1][limits]") {
  Pages memory(4);
  Domain domain = OpenDomain(Edu());
  uint32_t before = DmaAvailable(domain.container);
  REQUIRE(Map(domain.container, kIova, memory.Data(), kPage) == 0);
  REQUIRE(Map(domain.container, 2 * kIova, memory.Data(), 4 * kPage) == 0);
  CHECK(DmaAvailable(domain.container) == before - 2);
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == Errno{EEXIST});
  CHECK(Map(domain.container, 3 * kIova, Nowhere(), kPage) == Errno{EFAULT});
  CHECK(DmaAvailable(domain.container) == before - 2);
  REQUIRE(Unmap(domain.container, 0, 4 * kIova) == 5 * kPage);
  CHECK(DmaAvailable(domain.container) == before);
}

TEST_CASE("the mapping after the last available entry is ENOSPC", "[type1][limits]") {
  Pages memory(1);
  Domain domain = OpenDomain(Edu());
  uint64_t end = kIova;
  uint32_t available = DmaAvailable(domain.container);
  for (uint32_t i = 0; i < available; i++, end += kPage)
    if (!(Map(domain.container, end, memory.Data(), kPage) == 0)) FAIL("mapping " << i);
  CHECK(DmaAvailable(domain.container) == 0);
  CHECK(Map(domain.container, end, memory.Data(), kPage) == Errno{ENOSPC});
  CHECK(Map(domain.container, kIova, memory.Data(), kPage) == Errno{EEXIST});
  CHECK(Map(domain.container, 0xfee00000, memory.Data(), kPage) == Errno{ENOSPC});
  CHECK(Unmap(domain.container, kIova, end - kIova) == static_cast<long>(end - kIova));
  CHECK(Map(domain.container, end, memory.Data(), kPage) == 0);
}

TEST_CASE("mapping more than RLIMIT_MEMLOCK without CAP_IPC_LOCK is ENOMEM and maps nothing",
          "[type1][limits]") {
  Pages memory(32);
  memory.Fill(1);
  Domain domain = OpenDomain(Edu());
  CHECK(EndsWell(Fork([&] {
    rlimit limit{16 * kPage, 16 * kPage};
    ::setrlimit(RLIMIT_MEMLOCK, &limit);
    DropLockCapability();
    return Map(domain.container, kIova, memory.Data(), 17 * kPage) == Errno{ENOMEM} &&
           Unmap(domain.container, kIova, 17 * kPage) == 0 &&
           Map(domain.container, kIova, memory.Data(), 16 * kPage) == 0 &&
           Map(domain.container, 2 * kIova, memory.Data(), kPage) == Errno{ENOMEM} &&
           Unmap(domain.container, kIova, 16 * kPage) == 16 * kPage &&
           Map(domain.container, 2 * kIova, memory.Data(), kPage) == 0;
  })));
}

TEST_CASE("a page mapped twice counts twice against RLIMIT_MEMLOCK", "[type1][limits]") {
  Pages memory(1);
  memory.Fill(1);
  Domain domain = OpenDomain(Edu());
  CHECK(EndsWell(Fork([&] {
    rlimit limit{2 * kPage, 2 * kPage};
    ::setrlimit(RLIMIT_MEMLOCK, &limit);
    DropLockCapability();
    return Map(domain.container, kIova, memory.Data(), kPage) == 0 &&
           Map(domain.container, 2 * kIova, memory.Data(), kPage) == 0 &&
           Map(domain.container, 3 * kIova, memory.Data(), kPage) == Errno{ENOMEM};
  })));
}
