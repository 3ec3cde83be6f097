// The CUSE transport with the kernel played by the test: no /dev/cuse, no privilege.
#include <fcntl.h>

#include <chrono>

#include "support/cuse_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;
using namespace std::chrono_literals;

TEST_CASE("a kernel that does not speak CUSE is refused with a reason") {
  Served served;
  served.nodes.Add("vfio", served.NewNode());
  SECTION("another version") {
    served.cuse.init_major = 8;
    const auto started = served.server.Start();
    REQUIRE(!started);
    CHECK(started.error().code == EPROTO);
  }
  SECTION("another packet") {
    served.cuse.init_opcode = FUSE_INIT;
    const auto started = served.server.Start();
    REQUIRE(!started);
    CHECK(started.error().code == EPROTO);
  }
  SECTION("no packet") {
    served.cuse.silent = true;
    const auto started = served.server.Start();
    REQUIRE(!started);
    CHECK(started.error().code == ETIMEDOUT);
  }
  SECTION("no device") {
    served.cuse.refuses = true;
    const auto started = served.server.Start();
    REQUIRE(!started);
    CHECK(started.error().code == ENOENT);
  }
  CHECK(served.cuse.NodeNumber("vfio") == 0);
}

TEST_CASE("a client opens, reads, writes and closes a CUSE node") {
  OneNode served;
  const u64 handle = served.MustOpen(served.number);
  CHECK(served.open_files == 1);
  fuse_read_in read{};
  read.fh = handle;
  read.size = 100;
  auto answer = served.cuse.Call(served.number, FUSE_READ, PayloadBytes(read));
  CHECK(answer.error == 0);
  REQUIRE(answer.data.size() == 3);
  CHECK(std::memcmp(answer.data.data(), "yes", 3) == 0);
  read.offset = 1;
  CHECK(served.cuse.Call(served.number, FUSE_READ, PayloadBytes(read)).error == EINVAL);
  fuse_write_in write{};
  write.fh = handle;
  write.size = 5;
  auto packet = PayloadBytes(write);
  packet.resize(packet.size() + 5);
  answer = served.cuse.Call(served.number, FUSE_WRITE, packet);
  CHECK(answer.error == 0);
  CHECK(LoadLittleEndian(std::span{answer.data}.first(4)) == 5);
  CHECK(served.Release(served.number, handle) == 0);
  // It is answered after the file is gone: a close can be relied on.
  CHECK(served.open_files == 0);
}

TEST_CASE("a refused open is the client's errno and leaves nothing open") {
  OneNode served;
  served.refuse_open = EBUSY;
  CHECK(served.Open(served.number).error == EBUSY);
  CHECK(served.loop.Ask([&] { return served.calls.open_file_count(); }) == 0);
}

TEST_CASE("an ioctl over CUSE reads and writes the caller's memory by itself") {
  OneNode served;
  const u64 handle = served.MustOpen(served.number);
  int value = 41;
  CHECK(served.Ioctl(served.number, handle, kIncrement, reinterpret_cast<u64>(&value)) == 7);
  CHECK(value == 42);
  CHECK(served.Ioctl(served.number, handle, kIncrement, 0) == -EFAULT);
  CHECK(served.Ioctl(served.number, handle, 0x1234, 0) == -ENOTTY);
  // A number that tells of a size is a number like any other.
  CHECK(served.Ioctl(served.number, handle, _IOW(';', 100, int), 0) == -ENOTTY);
}

TEST_CASE("malformed requests over CUSE are answered and do no harm") {
  OneNode served;
  const u64 handle = served.MustOpen(served.number);
  const auto call = [&](u32 opcode, std::size_t size) {
    return served.cuse.Call(served.number, opcode, FakeCuse::Bytes(size)).error;
  };
  for (const u32 opcode : {FUSE_OPEN, FUSE_READ, FUSE_WRITE, FUSE_IOCTL, FUSE_RELEASE}) {
    INFO(opcode);
    CHECK(call(opcode, 0) == EINVAL);
    CHECK(call(opcode, 4) == EINVAL);
  }
  CHECK(call(FUSE_POLL, 24) == ENOSYS);
  CHECK(call(FUSE_LOOKUP, 8) == ENOSYS);
  CHECK(call(12345, 0) == ENOSYS);
  // A handle that nobody has.
  CHECK(served.Ioctl(served.number, handle + 1, kIncrement, 0) == -EBADF);
  CHECK(served.Release(served.number, handle + 1) == 0);
  // A write that says it is longer, a read that no buffer holds.
  fuse_write_in write{};
  write.fh = handle;
  write.size = 5;
  CHECK(served.cuse.Call(served.number, FUSE_WRITE, PayloadBytes(write)).error == EINVAL);
  fuse_read_in read{};
  read.fh = handle;
  read.size = ~0u;
  CHECK(served.cuse.Call(served.number, FUSE_READ, PayloadBytes(read)).error == EINVAL);
  // Less than a header; a header that says it is longer; an interrupt of nothing.
  served.cuse.SendRaw(served.number, FakeCuse::Bytes(10));
  FakeCuse::Bytes header(sizeof(fuse_in_header));
  StoreLittleEndian(std::span{header}.first(4), 1000);
  StoreLittleEndian(std::span{header}.subspan(8, 8), 1001);
  served.cuse.SendRaw(served.number, header);
  CHECK(served.cuse.Await(served.number, 1001).error == EINVAL);
  served.cuse.Send(served.number, FUSE_INTERRUPT, PayloadBytes(fuse_interrupt_in{999}));
  served.cuse.Send(served.number, FUSE_INTERRUPT, {});
  int value = 1;
  CHECK(served.Ioctl(served.number, handle, kIncrement, reinterpret_cast<u64>(&value)) == 7);
}

TEST_CASE("a call over CUSE that waits is EINTR when it is interrupted") {
  OneNode served;
  const u64 handle = served.MustOpen(served.number);
  const u64 unique =
      served.cuse.Send(served.number, FUSE_IOCTL, Served::IoctlPayload(handle, kForever, 0));
  // Answered after it: the channel keeps the order.
  CHECK(served.Ioctl(served.number, handle, 0x1234, 0) == -ENOTTY);
  CHECK(!served.cuse.IsAnswered(served.number, unique));
  served.cuse.Send(served.number, FUSE_INTERRUPT, PayloadBytes(fuse_interrupt_in{unique}));
  CHECK(served.cuse.Await(served.number, unique).error == EINTR);
}

TEST_CASE("a CUSE descriptor is known as the open file that it came from") {
  OneNode served;
  const u64 first = served.MustOpen(served.number), second = served.MustOpen(served.number);
  const UniqueFd first_fd = served.cuse.DescriptorOf(first);
  const UniqueFd second_fd = served.cuse.DescriptorOf(second);
  const UniqueFd other(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const UniqueFd zero(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  const auto is_this = [&](u64 handle, int fd) {
    return served.Ioctl(served.number, handle, kIsThis, static_cast<u64>(fd));
  };
  CHECK(is_this(first, first_fd.get()) == 1);
  CHECK(is_this(first, second_fd.get()) == 0);
  CHECK(is_this(second, second_fd.get()) == 1);
  CHECK(is_this(second, other.get()) == 0);
  CHECK(is_this(second, zero.get()) == 0);
  CHECK(is_this(second, 9999) == -EBADF);
  CHECK(served.Ioctl(served.number, first, kEventfd, static_cast<u64>(first_fd.get())) == -EINVAL);
  // As another thread than the core's asks.
  const struct statx found = *StatDescriptor(::gettid(), second_fd.get());
  CHECK(served.server.Ask(::gettid(), second_fd.get(), found) == second);
  // The client has put another file in its place.
  CHECK(served.server.Ask(::gettid(), zero.get(), found) == 0);
}

TEST_CASE("calls that come while a CUSE descriptor is looked up are taken up after it") {
  OneNode served;
  const u64 handle = served.MustOpen(served.number);
  const UniqueFd fd = served.cuse.DescriptorOf(handle);
  int value = 0;
  const auto pointer = reinterpret_cast<u64>(&value);
  for (int round = 0; round < 50; ++round) {
    std::vector<u64> sent;
    for (int i = 0; i < 4; ++i) {
      sent.push_back(
          served.cuse.Send(served.number, FUSE_IOCTL,
                           Served::IoctlPayload(handle, kIsThis, static_cast<u64>(fd.get()))));
      sent.push_back(served.cuse.Send(served.number, FUSE_IOCTL,
                                      Served::IoctlPayload(handle, kIncrement, pointer)));
    }
    for (std::size_t i = 0; i < sent.size(); ++i) {
      const auto answer = served.cuse.Await(served.number, sent[i]);
      REQUIRE(answer.error == 0);
      CHECK(LoadLittleEndian(std::span{answer.data}.first(4)) == (i % 2 == 0 ? 1u : 7u));
    }
  }
  CHECK(value == 200);
}

TEST_CASE("the question which file it is means nothing to the emulator from a client") {
  OneNode served;
  const u64 handle = served.MustOpen(served.number);
  // Another process, as the kernel would name it.
  fuse_in_header header{};
  const auto payload = Served::IoctlPayload(handle, Inquiry::kCommand, 1);
  header.len = static_cast<u32>(sizeof header + payload.size());
  header.opcode = FUSE_IOCTL;
  header.unique = 5001;
  header.pid = 1;
  FakeCuse::Bytes packet(header.len);
  std::memcpy(packet.data(), &header, sizeof header);
  std::memcpy(packet.data() + sizeof header, payload.data(), payload.size());
  served.cuse.SendRaw(served.number, packet);
  const auto answer = served.cuse.Await(served.number, 5001);
  CHECK(answer.error == 0);
  CHECK(static_cast<int>(LoadLittleEndian(std::span{answer.data}.first(4))) == -ENOTTY);
}

TEST_CASE("a connection that the kernel ends closes what was open through it") {
  OneNode served;
  served.MustOpen(served.number);
  served.MustOpen(served.number);
  served.cuse.Abort(served.number);
  CHECK(served.cuse.IsClosed(served.number));
  for (int i = 0; i < 100 && served.open_files > 0; ++i) std::this_thread::sleep_for(10ms);
  CHECK(served.open_files == 0);
}

TEST_CASE("earlier calls of other transports are taken up before a call over CUSE") {
  std::atomic<int> earlier = 0;
  Served served;
  Directory other;
  CuseServer server(served.loop, served.calls, served.cuse, other,
                    {.path = "/dev/vfio", .prefix = "p", .before_call = [&] { ++earlier; }});
  other.Add("vfio", served.NewNode());
  REQUIRE(server.Start());
  served.core = std::thread([&] { served.loop.Run(); });
  served.MustOpen(served.cuse.NodeNumber("vfio"));
  CHECK(earlier >= 1);
  served.loop.Stop();
  served.core.join();
  server.Stop();
}
