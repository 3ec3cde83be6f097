// The CUSE transport with the kernel played by the test: no /dev/cuse, no privilege.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <chrono>
#include <thread>

#include <catch2/catch.hpp>

#include "support/fake_cuse.hpp"
#include "support/fake_environment.hpp"
#include "transport/cuse_server.hpp"

using namespace vfiolab;
using namespace vfiolab::test;
using namespace std::chrono_literals;

namespace {

// Commands of the test file: one that never returns by itself; is the descriptor in the argument
// this very file?; add one to the int that the argument points to; does it hold an eventfd?
constexpr u32 kForever = 0x3b01, kIsThis = 0x3b02, kIncrement = 0x3b03, kEventfd = 0x3b04;

class Never final : public PendingCall {
 public:
  void OnDone(std::function<void(Completion)> done) override { done_ = std::move(done); }
  void Cancel() override { done_ = nullptr; }

 private:
  std::function<void(Completion)> done_;
};

class TestFile final : public OpenFile {
 public:
  explicit TestFile(std::atomic<int>& open) : open_(open) { ++open_; }
  ~TestFile() override { --open_; }
  std::string Name() const override { return "test"; }

  Reply Read(CallContext&, std::span<std::byte> to, u64 offset) override {
    if (offset != 0) return Fail(EINVAL, "elsewhere");
    const std::size_t count = std::min<std::size_t>(to.size(), 3);
    std::memcpy(to.data(), "yes", count);
    return static_cast<long>(count);
  }
  Reply Write(CallContext&, std::span<const std::byte> from, u64) override {
    return static_cast<long>(from.size());
  }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override {
    switch (command) {
      case kForever:
        return std::shared_ptr<PendingCall>(std::make_shared<Never>());
      case kIsThis: {
        const auto file = TRY(caller.ImportOpenFile(static_cast<int>(argument)));
        return file.get() == this ? 1L : 0L;
      }
      case kIncrement: {
        const int value = TRY(caller.memory().Load<int>(ClientAddress{argument}));
        TRY(caller.memory().Store(ClientAddress{argument}, value + 1));
        return 7;
      }
      case kEventfd:
        TRY(caller.ImportEventfd(static_cast<int>(argument)));
        return 0;
      default:
        return Fail(ENOTTY, "unknown");
    }
  }

 private:
  std::atomic<int>& open_;
};

class Served {
 public:
  Served()
      : machine(environment, trace, Iommu{}),
        door(machine),
        loop(turn, machine, door),
        calls(loop) {}
  ~Served() {
    loop.Stop();
    if (core.joinable()) core.join();
    server.Stop();
  }
  std::shared_ptr<DeviceNode> NewNode(mode_t permissions = 0666) {
    return std::make_shared<DeviceNode>(
        permissions, [this](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
          if (refuse_open != 0) return Fail(refuse_open, "refused");
          return std::shared_ptr<OpenFile>(std::make_shared<TestFile>(open_files));
        });
  }
  void Run() {
    const auto started = server.Start();
    REQUIRE(started);
    core = std::thread([this] { loop.Run(); });
  }
  // What a client does with the device `number`.
  FakeCuse::Answer Open(dev_t number) {
    return cuse.Call(number, FUSE_OPEN, PayloadBytes(fuse_open_in{O_RDWR, 0}));
  }
  u64 MustOpen(dev_t number) {
    const auto answer = Open(number);
    REQUIRE(answer.error == 0);
    REQUIRE(answer.data.size() == sizeof(fuse_open_out));
    return LoadLittleEndian(answer.data);
  }
  static FakeCuse::Bytes IoctlPayload(u64 handle, u32 command, u64 argument) {
    fuse_ioctl_in in{};
    in.fh = handle;
    in.cmd = command;
    in.arg = argument;
    return PayloadBytes(in);
  }
  // The value of the ioctl, or -errno.
  int Ioctl(dev_t number, u64 handle, u32 command, u64 argument) {
    const auto answer = cuse.Call(number, FUSE_IOCTL, IoctlPayload(handle, command, argument));
    if (answer.error != 0) return -answer.error;
    REQUIRE(answer.data.size() == sizeof(fuse_ioctl_out));
    return static_cast<int>(LoadLittleEndian(std::span{answer.data}.first(4)));
  }
  int Release(dev_t number, u64 handle) {
    fuse_release_in in{};
    in.fh = handle;
    return cuse.Call(number, FUSE_RELEASE, PayloadBytes(in)).error;
  }

  std::atomic<int> open_files = 0;
  std::atomic<int> refuse_open = 0;
  FakeCuse cuse;
  FakeEnvironment environment;
  Turn turn;
  Trace trace;
  Machine machine;
  Door door;
  EventLoop loop;
  FileCalls calls;
  Directory nodes;
  CuseServer server{loop, calls, cuse, nodes, {.path = "/dev/vfio", .prefix = "vfiolab/test"}};
  std::thread core;
};

// One node, the first and so known by the number of /dev/null.
class OneNode : public Served {
 public:
  OneNode() {
    nodes.Add("vfio", NewNode());
    Run();
    number = cuse.NodeNumber("vfio");
  }
  dev_t number;
};

}  // namespace

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
  CHECK(served.server.Ask(second_fd.get()) == second);
  CHECK(served.server.Ask(other.get()) == 0);
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
  const auto payload = Served::IoctlPayload(handle, kCuseInquiry, 1);
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
