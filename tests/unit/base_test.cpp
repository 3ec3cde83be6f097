// Results, time, ranges, the trace and small helpers.
#include <catch2/catch.hpp>

#include "base/address.hpp"
#include "base/clock.hpp"
#include "base/eventfd.hpp"
#include "base/trace.hpp"

using namespace vfiolab;
using namespace std::chrono_literals;

namespace {

Result<int> Half(int number) {
  if (number % 2 != 0) return Fail(EINVAL, "odd");
  return number / 2;
}

Result<std::string> QuarterAsText(int number) {
  const int half = TRY(Half(number));
  return std::to_string(TRY(Half(half)));
}

}  // namespace

TEST_CASE("TRY gives the value or hands the failure to the caller", "[base]") {
  CHECK(*QuarterAsText(12) == "3");
  CHECK(QuarterAsText(6).error().code == EINVAL);
  CHECK(QuarterAsText(7).error().reason == "odd");
}

TEST_CASE("TRY moves a value that cannot be copied", "[base]") {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(5); };
  const auto forward = [&]() -> Result<std::unique_ptr<int>> {
    std::unique_ptr<int> made = TRY(make());
    return made;
  };
  CHECK(**forward() == 5);
}

TEST_CASE("a result of nothing is a success by default", "[base]") {
  CHECK(Result<>());
  CHECK_FALSE(Result<>(Fail(EIO, "")));
}

TEST_CASE("an error is described by its name, its reason and the line that decided", "[base]") {
  const Result<int> odd = Half(1);
  CHECK(odd.error().where.line() == 15);
  CHECK(Describe(odd.error()) == "EINVAL (odd) [base_test.cpp:15]");
  CHECK(ErrnoName(EOVERFLOW) == "EOVERFLOW");
  CHECK(ErrnoName(12345) == "12345");
}

TEST_CASE("bytes are shown in hexadecimal up to a limit", "[base]") {
  const std::array bytes{std::byte{0x00}, std::byte{0x0f}, std::byte{0xa5}};
  CHECK(Hex(bytes) == "000fa5");
  CHECK(Hex(bytes, 3) == "000fa5");
  CHECK(Hex(bytes, 2) == "000f..");
  CHECK(Hex({}) == "");
}

TEST_CASE("little-endian numbers of less and more than eight bytes", "[base]") {
  std::array<std::byte, 10> bytes{std::byte{0x34}, std::byte{0x12}};
  CHECK(LoadLittleEndian(std::span{bytes}.first(2)) == 0x1234);
  CHECK(LoadLittleEndian(std::span{bytes}.first(0)) == 0);
  StoreLittleEndian(bytes, 0x1122334455667788);
  CHECK(bytes[7] == std::byte{0x11});
  CHECK(bytes[8] == std::byte{0});
  StoreLittleEndian(std::span{bytes}.first(3), 0xaabbccdd);
  CHECK(LoadLittleEndian(bytes) == 0x1122334455bbccdd);
}

TEST_CASE("a range of size 0 or one that would wrap does not exist", "[base]") {
  CHECK_FALSE(IovaRange::Of(0x1000, 0));
  CHECK_FALSE(IovaRange::Of(0xfffffffffffff000, 0x1001));
  CHECK_FALSE(IovaRange::Of(2, ~u64{0}));
}

TEST_CASE("a range can reach the end of the address space", "[base]") {
  CHECK(*IovaRange::Of(0xfffffffffffff000, 0x1000) ==
        IovaRange{0xfffffffffffff000, 0xffffffffffffffff});
  CHECK(*IovaRange::Of(0, ~u64{0}) == IovaRange{0, 0xfffffffffffffffe});
  CHECK(*IovaRange::Of(5, 1) == IovaRange{5, 5});
}

TEST_CASE("ranges overlap when they share a byte and contain what lies inside", "[base]") {
  constexpr IovaRange range{0x1000, 0x1fff};
  CHECK(range.Overlaps({0x1fff, 0x2fff}));
  CHECK_FALSE(range.Overlaps({0x2000, 0x2fff}));
  CHECK(range.Overlaps({0, ~u64{0}}));
  CHECK(range.Contains(range));
  CHECK_FALSE(range.Contains({0x1000, 0x2000}));
}

TEST_CASE("a clock runs timers in the order of their instants", "[base][clock]") {
  Clock clock;
  std::string order;
  clock.After(30ns, [&] { order += 'c'; });
  clock.After(10ns, [&] { order += 'a'; });
  clock.After(20ns, [&] { order += 'b'; });
  clock.AdvanceTo(25ns);
  CHECK(order == "ab");
  CHECK(clock.NextDeadline() == 30ns);
  clock.AdvanceTo(30ns);
  CHECK(order == "abc");
  CHECK(clock.NextDeadline() == std::nullopt);
}

TEST_CASE("timers of the same instant run in the order they were set", "[base][clock]") {
  Clock clock;
  std::string order;
  clock.After(10ns, [&] { order += '1'; });
  clock.After(10ns, [&] { order += '2'; });
  clock.After(10ns, [&] { order += '3'; });
  clock.AdvanceTo(10ns);
  CHECK(order == "123");
}

TEST_CASE("each timer sees its own instant as now", "[base][clock]") {
  Clock clock;
  Time seen{};
  clock.After(10ns, [&] { seen = clock.now(); });
  clock.AdvanceTo(50ns);
  CHECK(seen == 10ns);
  CHECK(clock.now() == 50ns);
}

TEST_CASE("a timer set by a timer runs too when it falls due", "[base][clock]") {
  Clock clock;
  std::string order;
  clock.After(10ns, [&] {
    order += 'a';
    clock.After(5ns, [&] { order += 'b'; });
    clock.After(90ns, [&] { order += 'd'; });
  });
  clock.After(20ns, [&] { order += 'c'; });
  clock.AdvanceTo(50ns);
  CHECK(order == "abc");
  CHECK(clock.NextDeadline() == 100ns);
}

TEST_CASE("a cancelled timer does not run, also when another cancels it at the same instant",
          "[base][clock]") {
  Clock clock;
  std::string order;
  const TimerId never = clock.After(10ns, [&] { order += 'x'; });
  clock.Cancel(never);
  TimerId second{};
  clock.After(20ns, [&] {
    order += 'a';
    clock.Cancel(second);
  });
  second = clock.After(20ns, [&] { order += 'y'; });
  clock.AdvanceTo(1s);
  CHECK(order == "a");
}

TEST_CASE("cancelling a timer that has run or cancelling twice does nothing", "[base][clock]") {
  Clock clock;
  int runs = 0;
  const TimerId first = clock.After(1ns, [&] { ++runs; });
  clock.AdvanceTo(1ns);
  clock.Cancel(first);
  clock.Cancel(first);
  clock.After(1ns, [&] { ++runs; });
  clock.AdvanceTo(2ns);
  CHECK(runs == 2);
}

TEST_CASE("a negative delay counts as none, and time never goes back", "[base][clock]") {
  Clock clock;
  clock.AdvanceTo(100ns);
  int runs = 0;
  clock.After(-50ns, [&] { ++runs; });
  CHECK(clock.NextDeadline() == 100ns);
  clock.AdvanceTo(10ns);
  CHECK(clock.now() == 100ns);
  CHECK(runs == 0);
  clock.AdvanceTo(100ns);
  CHECK(runs == 1);
}

TEST_CASE("a trace numbers inputs whether or not someone listens", "[base][trace]") {
  Trace trace;
  CHECK(trace.Input([]() -> std::string { throw "not called"; }) == 1);
  std::string lines;
  trace.SetSink([&](std::string_view line) { lines.append(line).append("|"); });
  CHECK(trace.Input([] { return std::string("in"); }) == 2);
  trace.Output([] { return std::string("out"); });
  CHECK(lines == "#2 in|  > out|");
}

TEST_CASE("a signal of a full eventfd makes it overflow and does not wait", "[base]") {
  const Eventfd eventfd(UniqueFd(::eventfd(0, EFD_CLOEXEC)));
  REQUIRE(::eventfd_write(eventfd.fd(), UINT64_MAX - 1) == 0);
  eventfd.Signal();
  std::uint64_t count = 0;
  REQUIRE(::eventfd_read(eventfd.fd(), &count) == 0);
  CHECK(count == UINT64_MAX);
}

TEST_CASE("each of many signals of an eventfd counts", "[base]") {
  const Eventfd eventfd(UniqueFd(::eventfd(0, EFD_CLOEXEC)));
  for (int i = 0; i < 1000; ++i) eventfd.Signal();
  std::uint64_t count = 0;
  REQUIRE(::eventfd_read(eventfd.fd(), &count) == 0);
  CHECK(count == 1000);
}
