// A CUSE server with a test file behind its nodes; the test is the kernel and the client.
#pragma once
#include <fcntl.h>

#include <atomic>
#include <memory>
#include <thread>

#include <catch2/catch.hpp>

#include "support/fake_cuse.hpp"
#include "support/fake_environment.hpp"
#include "transport/cuse_server.hpp"

namespace vfiolab::test {

// Commands of the test file: one that never returns by itself; is the descriptor in the argument
// this very file?; add one to the int that the argument points to; does it hold an eventfd?
inline constexpr u32 kForever = 0x3b01, kIsThis = 0x3b02, kIncrement = 0x3b03, kEventfd = 0x3b04;

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

}  // namespace vfiolab::test
