// The door: numbers, time, and that the same inputs write the same trace. Files and replies too.
#include <linux/pci_regs.h>

#include <catch2/catch.hpp>

#include "support/bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u64 kBuffer = 0x7f0000000000;

// Some of everything: opens, maps, DMA, interrupts, failures, a reset, a close.
void UseEdu(Bench& bench) {
  const Opened opened = bench.OpenAll();
  const int eventfd = bench.client.AddEventfd();
  bench.client.mm().Map(kBuffer, 2 * kPageSize);
  bench.Map(opened.container, 0x100000, kBuffer, 0x2000);
  bench.Map(opened.container, 0x100000, kBuffer, 0x2000);
  bench.SetTriggers(opened.device, VFIO_PCI_INTX_IRQ_INDEX, 0, {eventfd});
  bench.Store<u16>(opened.device, kConfig + PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  bench.Store<u32>(opened.device, 0x80, 0x100ffc);
  bench.Store<u32>(opened.device, 0x88, 0x40000);
  bench.Store<u32>(opened.device, 0x90, 8);
  bench.Store<u32>(opened.device, 0x98, 5);
  bench.Store<u32>(opened.device, 0x08, 10);
  bench.Wait(1s);
  bench.Load<u32>(opened.device, 0x24);
  bench.Store<u32>(opened.device, 0x98, 3);
  bench.Ioctl(opened.device, VFIO_DEVICE_RESET);
  bench.Unmap(opened.container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
  bench.Close(opened.group);
  bench.Close(opened.device);
  bench.Close(opened.container);
}

// A call that waits until the test ends it.
class Waiting final : public PendingCall {
 public:
  void OnDone(std::function<void(Completion)> done) override { done_ = std::move(done); }
  void Cancel() override { done_ = nullptr; }
  bool End(Completion completion) {
    if (done_) done_(std::move(completion));
    return done_ != nullptr;
  }

 private:
  std::function<void(Completion)> done_;
};

class WaitingFile final : public OpenFile {
 public:
  explicit WaitingFile(std::shared_ptr<Waiting> call) : call_(std::move(call)) {}
  std::string Name() const override { return "[waiting]"; }
  Reply Read(CallContext&, std::span<std::byte>, u64) override {
    return std::shared_ptr<PendingCall>(call_);
  }

 private:
  std::shared_ptr<Waiting> call_;
};

}  // namespace

TEST_CASE("an ioctl is traced with its number, its time, what it read, wrote and came to",
          "[door]") {
  Bench bench;
  const int group = bench.OpenGroup(1);
  bench.now = 5ns;
  bench.Listen();
  vfio_group_status status{8, 0};
  bench.Ioctl(group, VFIO_GROUP_GET_STATUS, status);
  CHECK(bench.trace_text ==
        "#2 t=5 tid=100 ioctl /dev/vfio/1 0x3b67 0x10000\n"
        "#3 memory 0x10000 0800000000000000\n"
        "  > memory 0x10000 0800000001000000\n"
        "  > = 0\n");
}

TEST_CASE("a failure is traced with its reason", "[door]") {
  Bench bench;
  const int group = bench.OpenGroup(1);
  bench.Listen();
  bench.Ioctl(group, 0x1234);
  CHECK(bench.trace_text.find("  > = -ENOTTY (unknown ioctl 0x1234)") != std::string::npos);
}

TEST_CASE("reads, writes, mappings, releases, time and events are inputs", "[door]") {
  Bench bench;
  const Opened opened = bench.OpenAll();
  bench.Listen();
  bench.Load<u32>(opened.device, 0x00);
  bench.Store<u32>(opened.device, 0x04, 0x0a0b0c0d);
  bench.Mmap(opened.device, 0, 0x1000);
  bench.Wait(3ns);
  bench.door.Event(3ns, "person presses", [] {});
  bench.Close(opened.container);
  const auto& text = bench.trace_text;
  CHECK(text.find("read [vfio-device 0000:01:00.0] 0x0 4\n  > data ed000001\n") != text.npos);
  CHECK(text.find("write [vfio-device 0000:01:00.0] 0x4 0d0c0b0a\n  > = 4\n") != text.npos);
  CHECK(text.find("mmap [vfio-device 0000:01:00.0] 0x0 0x1000 shared\n") != text.npos);
  CHECK(text.find("t=3 time\n") != text.npos);
  CHECK(text.find("t=3 person presses\n") != text.npos);
  CHECK(text.find("t=3 release /dev/vfio/vfio\n") != text.npos);
}

TEST_CASE("inputs are numbered the same whether or not someone listens", "[door]") {
  Bench quiet;
  Bench heard;
  heard.Listen();
  UseEdu(quiet);
  UseEdu(heard);
  CHECK(quiet.trace.inputs() == heard.trace.inputs());
}

TEST_CASE("the same inputs write the same trace, byte for byte", "[door]") {
  Bench first;
  first.Listen();
  UseEdu(first);
  Bench second;
  second.Listen();
  UseEdu(second);
  CHECK(first.trace_text == second.trace_text);
  CHECK(first.trace_text.size() > 2000);
}

TEST_CASE("the same inputs write the same trace when the heap lies elsewhere", "[door]") {
  std::string traces[2];
  std::vector<std::vector<char>> blocks;
  const std::vector<Placed> devices = {{kFirst, &fake_devices::kEdu, 1},
                                       {kSecond, &fake_devices::kEdu, 2},
                                       {kOnRootBus, &kPlenty, 3}};
  for (std::string& trace : traces) {
    Bench bench(devices);
    blocks.emplace_back(100 + 777 * blocks.size());
    bench.Listen();
    const Opened opened = bench.OpenDomain(1);
    for (unsigned i = 0; i < 5; ++i) blocks.emplace_back(48 + 16 * blocks.size());
    bench.SetContainer(bench.OpenGroup(2), opened.container);
    bench.SetContainer(bench.OpenGroup(3), opened.container);
    bench.client.mm().Map(kBuffer, kPageSize);
    bench.Map(opened.container, 0x100000, kBuffer, 0x1000);
    bench.Close(opened.group);
    bench.Unmap(opened.container, 0, 0x200000);
    trace = bench.trace_text;
  }
  CHECK(traces[0] == traces[1]);
}

TEST_CASE("a call moves time, and what is due runs before it", "[door]") {
  Bench bench;
  const Opened opened = bench.OpenAll();
  bench.Store<u32>(opened.device, 0x08, 4);
  CHECK(bench.machine.clock().NextDeadline() == 1ms);
  bench.now = 2ms;
  CHECK(bench.Load<u32>(opened.device, 0x08) == 24);
  CHECK(bench.machine.clock().now() == 2ms);
}

TEST_CASE("timers of two devices run in the order of time", "[door]") {
  Bench bench({{kFirst, &fake_devices::kEdu, 1}, {kSecond, &fake_devices::kEdu, 2}});
  const int first = bench.OpenAll(kFirst, 1).device;
  const int second = bench.OpenAll(kSecond, 2).device;
  bench.Store<u32>(first, 0x20, 0x80);
  bench.Store<u32>(second, 0x20, 0x80);
  bench.Store<u32>(second, 0x08, 4);
  bench.now = 1us;
  bench.Store<u32>(first, 0x08, 4);
  bench.Listen();
  bench.Wait(1s);
  const std::size_t second_raised = bench.trace_text.find("intx 0000:02:00.0 raised");
  const std::size_t first_raised = bench.trace_text.find("intx 0000:01:00.0 raised");
  REQUIRE(first_raised != std::string::npos);
  CHECK(second_raised < first_raised);
}

TEST_CASE("faults are kept with their time, the newest last, and told to a listener", "[door]") {
  Bench bench;
  unsigned told = 0;
  bench.machine.set_fault_listener([&](const FaultRecord&) { ++told; });
  bench.Wait(7ns);
  u8 byte = 0;
  CHECK_FALSE(bench.slot().DmaRead(Iova{0x1234}, BytesOf(byte)));
  bench.slot().config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, true);
  CHECK_FALSE(bench.slot().DmaWrite(Iova{0x5678}, BytesOf(byte)));
  REQUIRE(bench.machine.faults().size() == 2);
  CHECK(bench.machine.faults()[0].when == 7ns);
  CHECK(bench.machine.faults()[1].fault.reason == FaultReason::kNotAttached);
  CHECK(bench.machine.faults()[1].ToString() ==
        "DMA fault: 0000:01:00.0 write of 1 bytes stopped at iova 0x5678: "
        "the group is attached to no address space");
  CHECK(told == 2);
}

TEST_CASE("of many faults the newest 1024 are kept and all are counted", "[door]") {
  Bench bench;
  u8 byte = 0;
  for (u64 at = 0; at < 1030; ++at) bench.slot().DmaRead(Iova{at}, BytesOf(byte)).IgnoreError();
  CHECK(bench.machine.fault_count() == 1030);
  CHECK(bench.machine.faults().size() == 1024);
  CHECK(bench.machine.faults().front().fault.at == Iova{6});
}

TEST_CASE("a reply that waits is completed later, once, with its data", "[reply]") {
  Bench bench;
  bench.Listen();
  const auto call = std::make_shared<Waiting>();
  WaitingFile file(call);
  std::array<std::byte, 4> bytes{};
  Reply reply = bench.door.Read(0ns, bench.client, file, bytes, 0);
  REQUIRE(reply.deferred());
  CHECK(bench.trace_text.find("> deferred") != std::string::npos);
  long value = -1;
  std::size_t data = 0;
  reply.pending()->OnDone([&](Completion done) {
    value = *done.value;
    data = done.data.size();
  });
  CHECK(call->End({2L, nullptr, std::vector<std::byte>(2)}));
  CHECK(value == 2);
  CHECK(data == 2);
}

TEST_CASE("a reply that was cancelled is not completed any more", "[reply]") {
  const auto call = std::make_shared<Waiting>();
  const Reply reply = std::shared_ptr<PendingCall>(call);
  unsigned completions = 0;
  reply.pending()->OnDone([&](Completion) { ++completions; });
  reply.pending()->Cancel();
  CHECK_FALSE(call->End({0L, nullptr, {}}));
  CHECK(completions == 0);
}

TEST_CASE("a reply at hand carries a value, a failure or an opened file", "[reply]") {
  Reply value = 5;
  CHECK(*value.completion().value == 5);
  Reply failure = Fail(EIO, "why");
  CHECK(failure.completion().value.error().code == EIO);
  Reply opened = Completion{0L, std::make_shared<WaitingFile>(nullptr), {}};
  CHECK(opened.completion().opened->Name() == "[waiting]");
  CHECK_FALSE(opened.deferred());
}

TEST_CASE("a file without operations answers as the kernel does", "[files]") {
  Bench bench;
  WaitingFile file(nullptr);
  std::array<std::byte, 1> byte{};
  CHECK(file.Ioctl(bench.client, 1, 0).completion().value.error().code == ENOTTY);
  CHECK(file.Write(bench.client, byte, 0).completion().value.error().code == EINVAL);
  CHECK(file.Mmap(bench.client, {0, 1, true}).error().code == ENODEV);
  CHECK(file.shared_memory().fd == -1);
}
