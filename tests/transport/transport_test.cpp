// The FUSE transport by itself: a tree of test nodes, mounted, and this process as its client.
// Needs /dev/fuse and the right to mount.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include <catch2/catch.hpp>

#include "transport/fuse_server.hpp"
#include "transport/host_environment.hpp"

using namespace vfiolab;
using namespace std::chrono_literals;

namespace {

// Commands of the test file: wait 20 ms; is the descriptor in the argument this very file?
constexpr u32 kWait = 0x3b01, kIsThis = 0x3b02;

// A call that is done after a while, or never.
class Later final : public PendingCall {
 public:
  Later(Clock& clock, std::optional<Time> delay) : clock_(clock), delay_(delay) {}
  ~Later() override { Later::Cancel(); }
  void OnDone(std::function<void(Completion)> done) override {
    if (delay_)
      timer_ = clock_.After(*delay_, [done] {
        done({3L, nullptr, {std::byte{'y'}, std::byte{'e'}, std::byte{'s'}}});
      });
  }
  void Cancel() override {
    cancelled = true;
    if (timer_) clock_.Cancel(*timer_);
  }
  static inline std::atomic<bool> cancelled = false;

 private:
  Clock& clock_;
  std::optional<Time> delay_;
  std::optional<TimerId> timer_;
};

class LaterFile final : public OpenFile {
 public:
  explicit LaterFile(Clock& clock) : clock_(clock) {}
  std::string Name() const override { return "later"; }
  // Offset 0: after 20 ms; elsewhere: never.
  Reply Read(CallContext&, std::span<std::byte>, u64 offset) override {
    return std::shared_ptr<PendingCall>(
        std::make_shared<Later>(clock_, offset == 0 ? std::optional<Time>(20ms) : std::nullopt));
  }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override {
    if (command == kWait)
      return std::shared_ptr<PendingCall>(std::make_shared<Later>(clock_, 20ms));
    const auto file = TRY(caller.ImportOpenFile(static_cast<int>(argument)));
    return file.get() == this ? 1L : 0L;
  }

 private:
  Clock& clock_;
};

std::string NewDirectory() {
  std::string path = std::filesystem::temp_directory_path() / "vfiolab-XXXXXX";
  REQUIRE(::mkdtemp(path.data()) != nullptr);
  return path;
}

class Mounted {
 public:
  Mounted()
      : machine(environment, trace, Iommu{}),
        door(machine),
        loop(turn, machine, door),
        calls(loop) {
    environment.set_loop(loop);
    root->Add("later",
              std::make_shared<DeviceNode>(
                  0600, [this](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
                    return std::shared_ptr<OpenFile>(std::make_shared<LaterFile>(machine.clock()));
                  }));
    root->Add("text", std::make_shared<TextFile>([] { return std::string("words\n"); }));
    auto mounted = FuseServer::Mount(loop, calls, root, directory, {});
    REQUIRE(mounted);
    server = *std::move(mounted);
    core = std::thread([this] { loop.Run(); });
    server->LearnDevice();
  }
  ~Mounted() {
    loop.Stop();
    core.join();
    server->Unmount();
    std::filesystem::remove(directory);
  }
  int Open(const std::string& name, int flags = O_RDWR) const {
    const int fd = ::open((directory + "/" + name).c_str(), flags | O_CLOEXEC);
    REQUIRE(fd >= 0);
    return fd;
  }

  std::string directory = NewDirectory();
  HostEnvironment environment;
  Turn turn;
  Trace trace;
  Machine machine;
  Door door;
  EventLoop loop;
  FileCalls calls;
  std::shared_ptr<Directory> root = std::make_shared<Directory>();
  std::unique_ptr<FuseServer> server;
  std::thread core;
};

}  // namespace

TEST_CASE("a deferred read and a deferred ioctl return when they are done") {
  Mounted mounted;
  const int fd = mounted.Open("later");
  char answer[8] = {};
  CHECK(::pread(fd, answer, sizeof answer, 0) == 3);
  CHECK(std::string_view(answer) == "yes");
  CHECK(::ioctl(fd, kWait, 0) == 3);
  ::close(fd);
}

TEST_CASE("a signal cancels a deferred call, which is EINTR") {
  Mounted mounted;
  const int fd = mounted.Open("later");
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGALRM, &action, nullptr);
  Later::cancelled = false;
  const itimerval soon{{0, 0}, {0, 50000}};
  ::setitimer(ITIMER_REAL, &soon, nullptr);
  char byte = 0;
  const ssize_t count = ::pread(fd, &byte, 1, 1);
  const int error = errno;
  CHECK(count == -1);
  CHECK(error == EINTR);
  CHECK(Later::cancelled);
  char answer[8] = {};
  CHECK(::pread(fd, answer, sizeof answer, 0) == 3);
  ::close(fd);
}

TEST_CASE("a duplicate of a descriptor is known as the open file it came from") {
  Mounted mounted;
  const int first = mounted.Open("later"), second = mounted.Open("later");
  const int copy = ::dup(first);
  CHECK(::ioctl(first, kIsThis, copy) == 1);
  CHECK(::ioctl(first, kIsThis, second) == 0);
  CHECK(::ioctl(first, kIsThis, mounted.Open("text", O_RDONLY)) == 0);
  CHECK(::ioctl(first, kIsThis, STDIN_FILENO) == 0);
  CHECK(::ioctl(first, kIsThis, 9999) == -1);
  CHECK(errno == EBADF);
  ::close(first);
  ::close(second);
  ::close(copy);
}

TEST_CASE("what is closed and forgotten leaves nothing behind") {
  Mounted mounted;
  const std::size_t before = mounted.loop.Ask([&] { return mounted.calls.open_file_count(); });
  for (int i = 0; i < 500; ++i) ::close(mounted.Open("later"));
  std::this_thread::sleep_for(100ms);  // the kernel releases and forgets in its own time
  CHECK(mounted.loop.Ask([&] { return mounted.calls.open_file_count(); }) == before);
}
