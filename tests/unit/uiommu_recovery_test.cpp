// Errors on the bus, and what clients that listen make of them.
#include <catch2/catch.hpp>

#include "support/event_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

using Commands = std::vector<int>;

// One device, open, and a client that wants all events.
struct Listening : EventBench {
  explicit Listening(std::string_view revision = "A6") : EventBench(revision) {
    device = OpenDevice();
    Register();
    slot().set_reset_listener([this] { ++resets; });
  }
  // Files that are still open are closed after this, and reset the device.
  ~Listening() { slot().set_reset_listener(nullptr); }
  int device;
  int resets = 0;
};

}  // namespace

TEST_CASE("An error is told with the state of the channel", "[uiommu]") {
  for (const auto& [name, number] :
       {std::pair{"normal", 1u}, std::pair{"frozen\n", 2u}, std::pair{"failure", 3u}}) {
    Listening bench;
    const auto written = bench.InjectError(name);
    REQUIRE(bench.sent.size() == 1);
    CHECK(bench.sent[0].command == kErrorDetected);
    const auto state = FindAttribute(bench.sent[0].attributes, 6);
    REQUIRE(state);
    CHECK(LoadLittleEndian(*state) == number);
    CHECK_FALSE(*written);
    bench.ReplyToError(kDisconnect);
    CHECK(*written == -EIO);
  }
  Listening bench;
  CHECK(*bench.InjectError("cold") == -EINVAL);
}

TEST_CASE("A device that can recover is asked again with MMIO, and resumes", "[uiommu]") {
  Listening bench;
  const auto written = bench.InjectError("normal");
  CHECK(bench.ReplyToError(kCanRecover) == 0);
  CHECK(bench.Commands() == Commands{kErrorDetected, kMmioEnabled});
  CHECK_FALSE(*written);
  bench.Message(kErrorReply, bench.Address().Add(7, kRecovered), EventBench::kOne, 2);
  CHECK(*written == 6);
  CHECK(bench.Commands() == Commands{kErrorResume});
  CHECK(bench.resets == 0);
}

TEST_CASE("A device that has recovered by itself resumes at once", "[uiommu]") {
  Listening bench;
  const auto written = bench.InjectError("normal");
  bench.ReplyToError(kRecovered);
  CHECK(*written == 6);
  CHECK(bench.Commands() == Commands{kErrorDetected, kErrorResume});
}

TEST_CASE("A device that needs a reset gets one, and is asked again", "[uiommu]") {
  Listening bench;
  const auto written = bench.InjectError("normal");
  bench.ReplyToError(kCanRecover);
  bench.ReplyToError(kNeedReset);
  CHECK(bench.resets == 1);
  CHECK(bench.sent.back().command == kSlotReset);
  bench.ReplyToError(kRecovered);
  CHECK(*written == 6);
  CHECK(bench.Commands() == Commands{kErrorDetected, kMmioEnabled, kSlotReset, kErrorResume});
}

TEST_CASE("Behind a frozen channel the function is reset without being asked with MMIO",
          "[uiommu]") {
  Listening bench;
  const auto written = bench.InjectError("frozen");
  bench.ReplyToError(kCanRecover);
  CHECK(bench.resets == 1);
  bench.ReplyToError(kRecovered);
  CHECK(*written == 6);
  CHECK(bench.Commands() == Commands{kErrorDetected, kSlotReset, kErrorResume});
}

TEST_CASE("After a failure for good nothing is recovered, whatever the reply", "[uiommu]") {
  Listening bench;
  const auto written = bench.InjectError("failure");
  bench.ReplyToError(kRecovered);
  CHECK(*written == -EIO);
  CHECK(bench.Commands() == Commands{kErrorDetected});
}

TEST_CASE("An error that nobody listens to is not recovered from, at once", "[uiommu]") {
  EventBench bench;
  bench.OpenDevice();
  bench.Register(1 << kRemove);
  CHECK(*bench.InjectError("normal") == -EIO);
  bench.Register();
  bench.deaf.insert(EventBench::kOne.port);
  CHECK(*bench.InjectError("normal") == -EIO);
}

TEST_CASE("A reply is waited for for 3 seconds", "[uiommu]") {
  Listening bench;
  const auto written = bench.InjectError("normal");
  bench.Wait(2999ms);
  CHECK_FALSE(*written);
  bench.Wait(1ms);
  CHECK(*written == -EIO);
  CHECK(bench.ReplyToError(kRecovered) == 0);
  CHECK(bench.Commands() == Commands{kErrorDetected});
}

TEST_CASE("A reply with an older number is not looked at, and a newer one ends the question",
          "[uiommu]") {
  Listening bench;
  const auto answer = [&](u32 sequence) {
    return bench.Message(kErrorReply, bench.Address().Add(7, kRecovered), EventBench::kOne,
                         sequence);
  };
  auto written = bench.InjectError("normal");
  CHECK(answer(bench.sent.back().sequence - 1) == 0);
  CHECK_FALSE(*written);
  CHECK(answer(bench.sent.back().sequence + 5) == 0);
  CHECK(*written == -EIO);
  CHECK(*bench.InjectError("normal") == -EIO);
}

TEST_CASE("While one error is handled another is EBUSY", "[uiommu]") {
  Listening bench;
  const auto first = bench.InjectError("normal");
  CHECK(*bench.InjectError("normal") == -EBUSY);
  bench.ReplyToError(kRecovered);
  CHECK(*first == 6);
}

TEST_CASE("One of two listeners that is out of reach spoils the question from A-jun on",
          "[uiommu]") {
  for (const std::string_view revision : {"A6", "A-jun"}) {
    INFO(revision);
    Listening bench(revision);
    bench.Register(kAllEvents, EventBench::kOther);
    bench.deaf.insert(EventBench::kOther.port);
    const auto written = bench.InjectError("normal");
    CHECK(written->has_value() == (revision == "A-jun"));
    if (!*written) bench.ReplyToError(kRecovered);
  }
}

TEST_CASE("A device that goes meanwhile is not recovered", "[uiommu]") {
  Listening bench;
  const auto written = bench.InjectError("normal");
  const auto unbound = bench.Unbind();
  CHECK(bench.ReplyToError(kRecovered) == -EINVAL);
  bench.Close(bench.device);
  CHECK(*written == -EIO);
  CHECK(*unbound == 12);
}
