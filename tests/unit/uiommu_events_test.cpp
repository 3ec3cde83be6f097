// The family "VFIO": who may register, and what is sent when.
#include <catch2/catch.hpp>

#include "support/event_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

using Commands = std::vector<int>;
constexpr std::string_view kAllRevisions[] = {"A5", "A6", "A-jun", "A-jul-15", "A-jul"};

}  // namespace

TEST_CASE("The family has the name, the version and the commands of 2010", "[uiommu]") {
  EventBench bench;
  NetlinkFamily& family = bench.interfaces->uiommu->events();
  CHECK(family.name() == "VFIO");
  CHECK(family.version() == 1);
  CHECK(family.max_attribute() == 8);
  CHECK(family.commands() == std::vector<u8>{9, 10, 11});
}

TEST_CASE("Each revision takes the widths that its clients send", "[uiommu]") {
  for (const std::string_view revision : kAllRevisions) {
    INFO(revision);
    EventBench bench(revision);
    CHECK(bench.Register() == 0);
    CHECK(bench.Register(kAllEvents, EventBench::kOne, kSecond) == -EINVAL);
  }
}

TEST_CASE("A domain of 16 bits or a bus of 8 is too short for A5, and enough for A-jun",
          "[uiommu]") {
  const auto narrow = [] {
    return NetlinkAttributes().Add(2, u16{0}).Add(3, u8{1}).Add(4, u8{0}).Add(5, u8{0}).Add(
        1, kAllEvents);
  };
  EventBench october("A5"), june("A-jun");
  CHECK(october.Message(kRegister, narrow()) == -ERANGE);
  CHECK(june.Message(kRegister, narrow()) == 0);
}

TEST_CASE("Wider attributes than those of A-jun are taken by their first bytes", "[uiommu]") {
  EventBench bench("A-jun");
  const auto wide = NetlinkAttributes().Add(2, u32{0}).Add(3, u16{1}).Add(4, u8{0}).Add(5, u8{0});
  CHECK(bench.Message(kRegister, NetlinkAttributes(wide).Add(1, kAllEvents)) == 0);
}

TEST_CASE("A message without all that it needs is EINVAL", "[uiommu]") {
  EventBench bench;
  CHECK(bench.Message(kRegister, bench.Address()) == -EINVAL);
  CHECK(bench.Message(kRegister, NetlinkAttributes().Add(1, kAllEvents)) == -EINVAL);
  const auto result = bench.door.Message(bench.now, 1, bench.interfaces->uiommu->events(), {});
  CHECK(result.error().code == EINVAL);
}

TEST_CASE("Unknown commands, those for clients, and dumps are EOPNOTSUPP", "[uiommu]") {
  EventBench bench;
  for (const u8 command : std::initializer_list<u8>{0, 1, 8, 12, 255})
    CHECK(bench.Message(command, bench.Address()) == -EOPNOTSUPP);
  CHECK(bench.Message(kRegister, bench.Address(), EventBench::kOne, 1, NLM_F_DUMP) == -EOPNOTSUPP);
}

TEST_CASE("To register for nothing is EINVAL in A5 and A6", "[uiommu]") {
  for (const std::string_view revision : {"A5", "A6"}) {
    EventBench bench(revision);
    CHECK(bench.Register() == 0);
    CHECK(bench.Register(0) == -EINVAL);
    bench.Unbind();
    CHECK(bench.Commands() == Commands{kRemove});
  }
}

TEST_CASE("To register for nothing ends the registration from A-jun on, if there is one",
          "[uiommu]") {
  EventBench bench("A-jun");
  CHECK(bench.Register(0) == -EINVAL);
  CHECK(bench.Register() == 0);
  CHECK(bench.Register(0) == 0);
  CHECK(bench.Register(0) == -EINVAL);
  CHECK(bench.Register(0, EventBench::kOne, kSecond) == -EINVAL);
  bench.Unbind();
  CHECK(bench.sent.empty());
}

TEST_CASE("A client is a port in a network namespace, and to register again replaces its mask",
          "[uiommu]") {
  EventBench bench;
  bench.Register(1 << kRemove);
  bench.Register(1 << kRemove, EventBench::kOther);
  bench.Register(1 << kRemove, {2, EventBench::kOne.port});
  bench.Register(1 << kPmResume, EventBench::kOther);
  bench.Unbind();
  REQUIRE(bench.sent.size() == 2);
  CHECK(bench.sent[0].to == EventBench::kOne);
  CHECK(bench.sent[1].to == NetlinkPeer{2, EventBench::kOne.port});
  CHECK(bench.sent[0].sequence == bench.sent[1].sequence);
}

TEST_CASE("REMOVE is sent when the driver lets a device go, which waits for its files",
          "[uiommu]") {
  for (const std::string_view revision : kAllRevisions) {
    INFO(revision);
    EventBench bench(revision);
    const int device = bench.OpenDevice();
    bench.Register();
    const auto unbound = bench.Unbind();
    REQUIRE(bench.sent.size() == 1);
    CHECK(bench.sent[0].command == kRemove);
    const NetlinkAttributes address = bench.Address();
    CHECK(std::ranges::equal(bench.sent[0].attributes, address.bytes()));
    CHECK_FALSE(*unbound);
    CHECK(bench.Register() == -EINVAL);
    bench.Close(device);
    CHECK(*unbound == 12);
  }
}

TEST_CASE("The last close ends registrations from A-jun on, and leaves them before", "[uiommu]") {
  for (const std::string_view revision : kAllRevisions) {
    INFO(revision);
    EventBench bench(revision);
    const int first = bench.OpenDevice(), second = bench.OpenDevice();
    bench.Register();
    bench.Close(first);
    bench.Close(second);
    bench.Unbind();
    const bool early = revision == "A5" || revision == "A6";
    CHECK(bench.Commands() == (early ? Commands{kRemove} : Commands{}));
  }
}

TEST_CASE("The numbers of messages count up", "[uiommu]") {
  EventBench bench("A6", EarlyBench::TwoEdus());
  bench.Register(kAllEvents);
  bench.Register(kAllEvents, EventBench::kOne, kSecond);
  bench.Unbind();
  bench.Unbind(kSecond);
  REQUIRE(bench.sent.size() == 2);
  CHECK(bench.sent[1].sequence == bench.sent[0].sequence + 1);
}

TEST_CASE("What clients send is in the trace, and what is sent to them", "[uiommu]") {
  EventBench bench;
  bench.Listen();
  bench.Register();
  bench.Unbind();
  CHECK(bench.trace_text.find("message VFIO net=1 port=100 seq=1 0901") != std::string::npos);
  CHECK(bench.trace_text.find("> message VFIO net=1 port=100 seq=1 command 1") !=
        std::string::npos);
}

TEST_CASE("A sleep that nobody's device is open for needs nobody's leave", "[uiommu]") {
  EventBench bench;
  bench.Register();
  CHECK(*bench.AskForSleep("mem\n") == 4);
  CHECK(bench.sent.empty());
  CHECK(*bench.AskForSleep("disk") == -EINVAL);
  CHECK(*bench.AskForSleep("") == 0);
}

TEST_CASE("PM_SUSPEND goes to each open device, and PM_RESUME follows when all have agreed",
          "[uiommu]") {
  EventBench bench("A6", EarlyBench::TwoEdus());
  bench.OpenDevice("vfio0");
  bench.OpenDevice("vfio1");
  bench.Register();
  bench.Register(kAllEvents, EventBench::kOther, kSecond);
  const auto slept = bench.AskForSleep("freeze");
  CHECK(bench.Commands() == Commands{kPmSuspend, kPmSuspend});
  CHECK(bench.ReplyToSuspend(0) == 0);
  CHECK_FALSE(*slept);
  CHECK(*bench.AskForSleep() == -EBUSY);
  CHECK(bench.ReplyToSuspend(0, EventBench::kOther, kSecond) == 0);
  CHECK(*slept == 6);
  CHECK(bench.Commands() == Commands{kPmResume, kPmResume});
}

TEST_CASE("A sleep is refused at once where a device that is open has no listener", "[uiommu]") {
  EventBench bench("A6", EarlyBench::TwoEdus());
  bench.OpenDevice("vfio0");
  bench.OpenDevice("vfio1");
  bench.Register(1 << kPmSuspend);
  CHECK(*bench.AskForSleep() == -EINVAL);
  CHECK(bench.Commands() == Commands{kPmSuspend});
}

TEST_CASE("A sleep is refused by any other reply than 0, and who agreed is told", "[uiommu]") {
  EventBench bench;
  bench.OpenDevice();
  bench.Register();
  const auto slept = bench.AskForSleep("standby");
  bench.ReplyToSuspend(0x8002);
  CHECK(*slept == -EINVAL);
  CHECK(bench.Commands() == Commands{kPmSuspend, kPmResume});
}

TEST_CASE("A sleep is refused when no reply has come for 5 seconds", "[uiommu]") {
  EventBench bench;
  bench.OpenDevice();
  bench.Register();
  const auto slept = bench.AskForSleep();
  bench.Wait(4999ms);
  CHECK_FALSE(*slept);
  bench.Wait(1ms);
  CHECK(*slept == -EINVAL);
  CHECK(bench.ReplyToSuspend(0) == 0);
}

TEST_CASE("A reply to a sleep about a device that nobody has open is EINVAL", "[uiommu]") {
  EventBench bench;
  CHECK(bench.ReplyToSuspend(0) == -EINVAL);
  bench.OpenDevice();
  CHECK(bench.ReplyToSuspend(0) == 0);
}
