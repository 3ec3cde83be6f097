// Banks of registers: how bytes reach rows.
#include "device/register_map.hpp"

#include <catch2/catch.hpp>

using namespace vfiolab;

namespace {

struct Sample {
  bool unlocked = true;
  unsigned reads = 0, writes = 0;
  u64 last_written = 0;

  bool Unlocked() const { return unlocked; }
  void OnWrite(u64 written) {
    ++writes;
    last_written = written;
  }
  u64 OnRead() { return 0x1000 + ++reads; }

  // clang-format off
  RegisterBank<Sample> bank{*this, Registers<Sample>({
    {"BYTE",     0x00, {.width = 1, .reset = 0x11, .writable = kAllBits}},
    {"WORD",     0x02, {.width = 2, .reset = 0x2233, .writable = 0x0ff0}},
    {"FIXED",    0x04, {.reset = 0x44556677}},
    {"WIDE",     0x08, {.width = 8, .reset = 0x1122334455667788, .writable = kAllBits}},
    {"STATUS",   0x10, {.reset = 0xffff, .write_one_to_clear = 0xff0f}},
    {"LOCKED",   0x14, {.writable = kAllBits, .writable_if = &Sample::Unlocked, .on_write = &Sample::OnWrite}},
    {"COMPUTED", 0x18, {.on_read = &Sample::OnRead}},
    {"OWN",      0x1c, {.on_write = &Sample::OnWrite}},
    {"WHOLE",    0x20, {.width = 8, .whole = true, .writable = kAllBits}},
  })};
  // clang-format on

  template <class T>
  T Read(Offset at) {
    T value{};
    bank.Read(at, BytesOf(value));
    return value;
  }
  template <class T>
  void Write(Offset at, T value) {
    bank.Write(at, BytesOf(value));
  }
};

}  // namespace

TEST_CASE("rows of 1, 2, 4 and 8 bytes read as their reset values", "[registers]") {
  Sample device;
  CHECK(device.Read<u8>(0x00) == 0x11);
  CHECK(device.Read<u16>(0x02) == 0x2233);
  CHECK(device.Read<u32>(0x04) == 0x44556677);
  CHECK(device.Read<u64>(0x08) == 0x1122334455667788);
}

TEST_CASE("a whole row is reached by its first byte only", "[registers]") {
  Sample device;
  device.Write(0x20, u64{0x1122334455667788});
  device.Write(0x24, u32{0});
  CHECK(device.Read<u64>(0x20) == 0x1122334455667788);
  CHECK(device.Read<u32>(0x20) == 0x55667788);
  CHECK(device.Read<u32>(0x24) == 0xffffffff);
  CHECK(device.Read<u64>(0x1c) == 0x55667788'00000000);
}

TEST_CASE("a short write to a whole row clears the rest", "[registers]") {
  Sample device;
  device.Write(0x20, u64{0x1122334455667788});
  device.Write(0x20, u32{0x99aabbcc});
  CHECK(device.Read<u64>(0x20) == 0x99aabbcc);
}

TEST_CASE("a part of a row reads as that part", "[registers]") {
  Sample device;
  CHECK(device.Read<u8>(0x05) == 0x66);
  CHECK(device.Read<u32>(0x0c) == 0x11223344);
  CHECK(device.Read<u16>(0x0a) == 0x5566);
}

TEST_CASE("bytes that no row claims read as ones and ignore writes", "[registers]") {
  Sample device;
  CHECK(device.Read<u8>(0x01) == 0xff);
  CHECK(device.Read<u32>(0x28) == 0xffffffff);
  CHECK(device.Read<u64>(0xffff8) == 0xffffffffffffffff);
  device.Write<u8>(0x01, 0);
  device.Write<u64>(0x28, 0);
  CHECK(device.Read<u32>(0x00) == 0x2233ff11);
}

TEST_CASE("a read over two rows and a hole sees all three", "[registers]") {
  Sample device;
  CHECK(device.Read<u32>(0x00) == 0x2233ff11);
  CHECK(device.Read<u64>(0x00) == 0x445566772233ff11);
}

TEST_CASE("a write stores writable bits only", "[registers]") {
  Sample device;
  device.Write<u16>(0x02, 0xffff);
  CHECK(device.Read<u16>(0x02) == 0x2ff3);
  device.Write<u32>(0x04, 0);
  CHECK(device.Read<u32>(0x04) == 0x44556677);
}

TEST_CASE("a write to a part of a row keeps the rest", "[registers]") {
  Sample device;
  device.Write<u8>(0x09, 0xee);
  CHECK(device.Read<u64>(0x08) == 0x112233445566ee88);
  device.Write<u32>(0x0c, 0xaabbccdd);
  CHECK(device.Read<u64>(0x08) == 0xaabbccdd5566ee88);
}

TEST_CASE("one write over several rows reaches each of them once", "[registers]") {
  Sample device;
  device.Write<u64>(0x10, 0x9999999900000001);
  CHECK(device.Read<u32>(0x10) == 0xfffe);
  CHECK(device.Read<u32>(0x14) == 0x99999999);
  CHECK(device.writes == 1);
}

TEST_CASE("write-one-to-clear clears what is written as one, and only where it may",
          "[registers]") {
  Sample device;
  device.Write<u32>(0x10, 0x00000003);
  CHECK(device.Read<u32>(0x10) == 0xfffc);
  device.Write<u32>(0x10, 0x000000f0);
  CHECK(device.Read<u32>(0x10) == 0xfffc);
}

TEST_CASE("a byte written to a write-one-to-clear row does not clear its other bytes",
          "[registers]") {
  Sample device;
  device.Write<u8>(0x10, 0x01);
  CHECK(device.Read<u32>(0x10) == 0xfffe);
  device.Write<u8>(0x11, 0x80);
  CHECK(device.Read<u32>(0x10) == 0x7ffe);
}

TEST_CASE("a row that is not writable now drops the write without telling the device",
          "[registers]") {
  Sample device;
  device.unlocked = false;
  device.Write<u32>(0x14, 5);
  CHECK(device.Read<u32>(0x14) == 0);
  CHECK(device.writes == 0);
  device.unlocked = true;
  device.Write<u32>(0x14, 5);
  CHECK(device.Read<u32>(0x14) == 5);
  CHECK(device.last_written == 5);
}

TEST_CASE("a device that owns its store sees what was written and stores it itself",
          "[registers]") {
  Sample device;
  device.Write<u32>(0x1c, 0xabcd);
  CHECK(device.last_written == 0xabcd);
  CHECK(device.Read<u32>(0x1c) == 0);
  device.bank[0x1c] = 7;
  CHECK(device.Read<u32>(0x1c) == 7);
}

TEST_CASE("a computed row is computed once for each access that touches it", "[registers]") {
  Sample device;
  CHECK(device.Read<u32>(0x18) == 0x1001);
  CHECK(device.Read<u8>(0x18) == 0x02);
  CHECK(device.Read<u64>(0x18) == 0x1003);
  CHECK(device.Read<u32>(0x1c) == 0);
  CHECK(device.reads == 3);
}

TEST_CASE("a reset gives every row its reset value", "[registers]") {
  Sample device;
  device.Write<u8>(0x00, 0x99);
  device.Write<u32>(0x10, 0xffffffff);
  device.bank.Reset();
  CHECK(device.Read<u8>(0x00) == 0x11);
  CHECK(device.Read<u32>(0x10) == 0xffff);
}

TEST_CASE("a driver's range inside a buffer, at its end, and outside", "[registers]") {
  std::array<std::byte, 16> buffer{};
  CHECK(Subspan(buffer, 4, 12)->data() == buffer.data() + 4);
  CHECK(Subspan(buffer, 16, 0)->empty());
  CHECK_FALSE(Subspan(buffer, 4, 13));
  CHECK_FALSE(Subspan(buffer, 17, 0));
  CHECK_FALSE(Subspan(buffer, ~u64{0}, 2));
  CHECK_FALSE(Subspan(buffer, 2, ~u64{0}));
}
