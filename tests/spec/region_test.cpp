// Reads, writes and mappings of BARs.
#include <sys/uio.h>

#include "client.hpp"
#include "edu.hpp"

namespace {

constexpr uint64_t kEduSize = 1 << 20;

}  // namespace

TEST_CASE("a register holds what was written to it", "[bar]") {
  Client client = OpenEdu();
  for (uint32_t value : {0u, 1u, 0x12345678u, 0xffffffffu}) {
    WriteRegister(client.device, kEduLiveness, value);
    CHECK(ReadRegister(client.device, kEduLiveness) == ~value);
  }
}

TEST_CASE("a register of 8 bytes can be accessed at once", "[bar]") {
  Client client = OpenEdu();
  uint64_t offset = RegionOffset(client.device, 0) + kEduDmaSource;
  uint64_t value = 0x0123456789abcdef;
  CHECK(Write(client.device, &value, 8, offset) == 8);
  value = 0;
  CHECK(Read(client.device, &value, 8, offset) == 8);
  CHECK(value == 0x0123456789abcdef);
}

TEST_CASE("a long read is many accesses, and returns all its bytes", "[bar]") {
  std::vector<uint8_t> bytes(64 * kPage);
  Client client = OpenEdu();
  CHECK(Read(client.device, bytes.data(), bytes.size(), RegionOffset(client.device, 0)) ==
        static_cast<long>(bytes.size()));
}

TEST_CASE("read() and write() begin at the first region and move on", "[bar]") {
  uint32_t id = 0, value = 0x1234;
  Client client = OpenEdu();
  if (RegionOffset(client.device, 0) != 0) return;
  REQUIRE(Result::Of(::read(client.device, &id, 4)) == 4);
  CHECK((id & 0xffff) == 0x00ed);
  CHECK(Result::Of(::write(client.device, &value, 4)) == 4);
  CHECK(ReadRegister(client.device, kEduLiveness) == ~0x1234u);
}

TEST_CASE("pread and pwrite do not move the file's position", "[bar]") {
  uint32_t id = 0;
  Client client = OpenEdu();
  if (RegionOffset(client.device, 0) != 0) return;
  ReadRegister(client.device, kEduLiveness);
  WriteRegister(client.device, kEduLiveness, 0);
  REQUIRE(Result::Of(::read(client.device, &id, 4)) == 4);
  CHECK((id & 0xffff) == 0x00ed);
}

TEST_CASE("an access that crosses a BAR's end is short", "[bar]") {
  uint8_t bytes[16]{};
  Client edu = OpenEdu();
  uint64_t offset = RegionOffset(edu.device, 0);
  CHECK(Read(edu.device, bytes, 16, offset + kEduSize - 8) == 8);
  CHECK(Write(edu.device, bytes, 16, offset + kEduSize - 8) == 8);
  Client testdev = OpenClient(Testdev());
  CHECK(Read(testdev.device, bytes, 16, RegionOffset(testdev.device, 1) + 252) == 4);
}

TEST_CASE("an access past a BAR's end is EINVAL", "[bar]") {
  uint32_t value = 0;
  Client client = OpenEdu();
  uint64_t offset = RegionOffset(client.device, 0);
  CHECK(Read(client.device, &value, 4, offset + kEduSize) == Errno{EINVAL});
  CHECK(Write(client.device, &value, 4, offset + kEduSize) == Errno{EINVAL});
  CHECK(Read(client.device, &value, 4, offset + 16 * kEduSize) == Errno{EINVAL});
}

TEST_CASE("an access of no bytes is 0, wherever it is", "[bar]") {
  uint32_t value = 0;
  Client client = OpenEdu();
  uint64_t offset = RegionOffset(client.device, 0);
  CHECK(Read(client.device, &value, 0, offset) == 0);
  CHECK(Write(client.device, &value, 0, offset) == 0);
  CHECK(Read(client.device, &value, 0, offset + kEduSize) == 0);
}

TEST_CASE("an access to a BAR or ROM the device does not have is EINVAL", "[bar]") {
  uint32_t value = 0;
  Client client = OpenEdu();
  for (uint32_t index : {1, 2, 3, 4, 5, VFIO_PCI_ROM_REGION_INDEX + 0}) {
    uint64_t offset = RegionOffset(client.device, index);
    CHECK(Read(client.device, &value, 4, offset) == Errno{EINVAL});
    CHECK(Write(client.device, &value, 4, offset) == Errno{EINVAL});
  }
}

TEST_CASE("an access beyond the last region is EINVAL", "[bar]") {
  uint32_t value = 0;
  Client client = OpenEdu();
  uint64_t stride = RegionOffset(client.device, 1) - RegionOffset(client.device, 0);
  for (uint64_t index : {8, 9, 100}) {
    CHECK(Read(client.device, &value, 4, index * stride) == Errno{EINVAL});
    CHECK(Write(client.device, &value, 4, index * stride) == Errno{EINVAL});
  }
}

TEST_CASE("with memory disabled in COMMAND, BAR accesses are EIO until it is enabled", "[bar]") {
  uint32_t value = 0;
  Client client = OpenEdu();
  WriteRegister(client.device, kEduLiveness, 0x11);
  SetCommand(client.device, 0, kCommandMemory);
  CHECK(TryReadRegister(client.device, kEduLiveness, value) == Errno{EIO});
  CHECK(TryWriteRegister(client.device, kEduLiveness, 0x22) == Errno{EIO});
  SetCommand(client.device, kCommandMemory, 0);
  CHECK(ReadRegister(client.device, kEduLiveness) == ~0x11u);
}

TEST_CASE("with memory disabled, an access past the BAR's end is still EINVAL", "[bar]") {
  uint32_t value = 0;
  Client client = OpenEdu();
  SetCommand(client.device, 0, kCommandMemory);
  CHECK(Read(client.device, &value, 4, RegionOffset(client.device, 0) + kEduSize) == Errno{EINVAL});
}

TEST_CASE("with memory disabled, config space can still be read", "[bar]") {
  Client client = OpenEdu();
  SetCommand(client.device, 0, kCommandMemory);
  CHECK(ReadConfig<uint16_t>(client.device, 0) == 0x1234);
}

TEST_CASE("I/O ports can be read while COMMAND has I/O or memory disabled", "[bar]") {
  uint32_t value = 0;
  Client client = OpenClient(Testdev());
  SetCommand(client.device, 0, kCommandMemory | 1);
  CHECK(Read(client.device, &value, 4, RegionOffset(client.device, 1)) == 4);
}

TEST_CASE("two descriptors of one device reach the same registers", "[bar]") {
  Client client = OpenEdu();
  Fd second = OpenDevice(client.group, Edu());
  WriteRegister(client.device, kEduLiveness, 0xabcd);
  CHECK(ReadRegister(second, kEduLiveness) == ~0xabcdu);
}

TEST_CASE("two devices do not share registers", "[bar]") {
  if (!std::getenv("VFIO_TEST_EDU2")) return;
  Client first = OpenEdu();
  Client second = OpenClient(Required("VFIO_TEST_EDU2"));
  WriteRegister(first.device, kEduLiveness, 0x1111);
  WriteRegister(second.device, kEduLiveness, 0x2222);
  CHECK(ReadRegister(first.device, kEduLiveness) == ~0x1111u);
  CHECK(ReadRegister(second.device, kEduLiveness) == ~0x2222u);
}

TEST_CASE("each part of a pwritev or preadv is an access of its own", "[bar]") {
  Client client = OpenEdu();
  auto offset = static_cast<off_t>(RegionOffset(client.device, 0) + kEduLiveness);
  uint16_t halves[2] = {0x1234, 0x5678};
  iovec parts[] = {{&halves[0], 2}, {&halves[1], 2}};
  WriteRegister(client.device, kEduLiveness, 0);
  REQUIRE(Result::Of(::pwritev(client.device, parts, 2, offset)) == 4);
  CHECK(ReadRegister(client.device, kEduLiveness) == ~0u);  // edu takes whole words alone

  uint32_t words[2] = {0xabcd, 0};
  iovec whole[] = {{nullptr, 0}, {&words[0], 4}};
  CHECK(Result::Of(::pwritev(client.device, whole, 2, offset)) == 4);
  CHECK(ReadRegister(client.device, kEduLiveness) == ~0xabcdu);
  iovec both[] = {{&words[1], 4}, {&words[0], 4}};
  CHECK(Result::Of(::preadv(client.device, both, 2, offset - 4)) == 8);
  CHECK((words[1] & 0xffff) == 0x00ed);
  CHECK(words[0] == ~0xabcdu);
}

TEST_CASE("a preadv ends with the part that is short, or before the one that fails", "[bar]") {
  Client client = OpenEdu();
  auto end = static_cast<off_t>(RegionOffset(client.device, 0) + kEduSize);
  uint8_t bytes[24]{};
  iovec parts[] = {{bytes, 8}, {bytes + 8, 8}, {bytes + 16, 8}};
  CHECK(Result::Of(::preadv(client.device, parts, 3, end - 12)) == 12);
  CHECK(Result::Of(::preadv(client.device, parts, 3, end - 16)) == 16);
  CHECK(Result::Of(::preadv(client.device, parts, 3, end)) == Errno{EINVAL});
  parts[1].iov_base = nullptr;
  CHECK(Result::Of(::preadv(client.device, parts, 3, end - 24)) == 8);
  parts[0].iov_base = nullptr;
  CHECK(Result::Of(::preadv(client.device, parts, 3, end - 24)) == Errno{EFAULT});
}

TEST_CASE("a read of more than a BAR has ends with the BAR", "[bar]") {
  Client client = OpenEdu();
  uint64_t offset = RegionOffset(client.device, 0);
  std::vector<uint8_t> bytes(2 * kEduSize);
  CHECK(Read(client.device, bytes.data(), bytes.size(), offset) == static_cast<long>(kEduSize));
  CHECK(Read(client.device, bytes.data(), bytes.size(), offset + 4) ==
        static_cast<long>(kEduSize - 4));
  CHECK(Write(client.device, bytes.data(), bytes.size(), offset + kEduSize / 2) ==
        static_cast<long>(kEduSize / 2));
}

TEST_CASE("a buffer that would end beyond all addresses is EFAULT, wherever it begins", "[bar]") {
  Client client = OpenEdu();
  uint64_t offset = RegionOffset(client.device, 0);
  uint64_t good = 0x5a5a5a5a;
  CHECK(Read(client.device, &good, SIZE_MAX, offset) == Errno{EFAULT});
  CHECK(Read(client.device, &good, SIZE_MAX, offset + kEduSize) == Errno{EFAULT});
  CHECK(good == 0x5a5a5a5a);
  iovec parts[] = {{&good, 4}, {reinterpret_cast<void*>(uint64_t{1} << 63), 0}};
  CHECK(Result::Of(::preadv(client.device, parts, 2, static_cast<off_t>(offset))) == Errno{EFAULT});
  CHECK(good == 0x5a5a5a5a);
}

TEST_CASE("preadv2 takes no flag that wants something of the file", "[bar]") {
  Client client = OpenEdu();
  auto offset = static_cast<off_t>(RegionOffset(client.device, 0));
  uint32_t id = 0;
  iovec part{&id, sizeof id};
  CHECK(Result::Of(::preadv2(client.device, &part, 1, offset, 0)) == 4);
  CHECK((id & 0xffff) == 0x00ed);
  for (int flag : {RWF_NOWAIT, RWF_DSYNC, RWF_SYNC, RWF_APPEND, 1 << 30}) {
    CHECK(Result::Of(::preadv2(client.device, &part, 1, offset, flag)) == Errno{EOPNOTSUPP});
    CHECK(Result::Of(::pwritev2(client.device, &part, 1, offset, flag)) == Errno{EOPNOTSUPP});
  }
  CHECK(Result::Of(::preadv2(client.device, &part, 1, offset, RWF_HIPRI)) == 4);
  iovec nothing{&id, 0};
  CHECK(Result::Of(::preadv2(client.device, &nothing, 1, offset, RWF_SYNC)) == 0);
}

TEST_CASE("a buffer across two pages of which the second cannot be reached", "[bar]") {
  Client client = OpenEdu();
  auto* pages = static_cast<uint8_t*>(
      ::mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(pages != MAP_FAILED);
  uint8_t* end = pages + kPage;
  ::mprotect(end, kPage, PROT_NONE);
  uint64_t config = RegionOffset(client.device, VFIO_PCI_CONFIG_REGION_INDEX);
  uint64_t bar = RegionOffset(client.device, 0);
  std::memset(end - 8, 0x5a, 8);
  CHECK(Read(client.device, end - 8, 16, config) == Errno{EFAULT});
  CHECK(end[-8] == 0x34);  // the vendor's number, and
  CHECK(end[-7] == 0x12);
  CHECK(Read(client.device, end - 8, 16, bar + kEduSize - 12) == Errno{EFAULT});
  CHECK(Read(client.device, end - 8, 16, bar + kEduSize - 8) == 8);  // it is not needed
  CHECK(Read(client.device, end, 4, bar + kEduSize) == Errno{EINVAL});
  WriteRegister(client.device, kEduLiveness, 0);
  uint32_t value = 0x1234;
  std::memcpy(end - 4, &value, 4);
  CHECK(Write(client.device, end - 4, 8, bar + kEduLiveness) == Errno{EFAULT});
  CHECK(ReadRegister(client.device, kEduLiveness) == ~0x1234u);
  ::munmap(pages, 2 * kPage);
}

TEST_CASE("where BAR2 of pci-testdev can be mapped, loads and stores agree with pread and pwrite",
          "[bar][mmap]") {
  Client client = OpenClient(Testdev());
  vfio_region_info region = RegionInfo(client.device, VFIO_PCI_BAR2_REGION_INDEX);
  if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP)) return;
  void* mapped = ::mmap(nullptr, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, client.device,
                        static_cast<off_t>(region.offset));
  REQUIRE(mapped != MAP_FAILED);
  auto* words = static_cast<volatile uint32_t*>(mapped);

  uint32_t value = 0;
  for (uint64_t at = 0; at < region.size; at += kPage - 4) {
    words[at / 4] = 0x600df00d;
    REQUIRE(Read(client.device, &value, 4, region.offset + at) == 4);
    CHECK(value == words[at / 4]);
    uint32_t other = 0x0ddba115;
    REQUIRE(Write(client.device, &other, 4, region.offset + at) == 4);
    REQUIRE(Read(client.device, &value, 4, region.offset + at) == 4);
    CHECK(value == words[at / 4]);
  }
  ::munmap(mapped, region.size);
}
