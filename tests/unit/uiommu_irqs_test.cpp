// Interrupts of /dev/vfioN: INTx and its end, lists of eventfds for MSI and MSI-X.
#include <catch2/catch.hpp>

#include "support/early_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

struct Lab : EarlyBench {
  explicit Lab(std::string_view revision = "A6", const Model& model = kPlenty)
      : EarlyBench(revision, Only(model)), device(OpenInDomain()) {
    slot().config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, true);
  }
  bool Masked() { return (slot().config().Get(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE) != 0; }
  int device;
  int a = client.AddEventfd(), b = client.AddEventfd(), c = client.AddEventfd();
};

}  // namespace

TEST_CASE("EVENTFD_IRQ: unreadable is EFAULT, a device without INTx EINVAL", "[uiommu]") {
  Lab bare("A6", kBare);
  CHECK(bare.Ioctl(bare.device, kEarlyIntx, 0xdead000) == -EFAULT);
  CHECK(bare.Give(bare.device, kEarlyIntx, {bare.a}) == -EINVAL);
}

TEST_CASE("EVENTFD_IRQ: EBADF and EINVAL of what is no eventfd; the one before is gone",
          "[uiommu]") {
  Lab bench;
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
  CHECK(bench.Give(bench.device, kEarlyIntx, {999}) == -EBADF);
  CHECK(bench.Give(bench.device, kEarlyIntx, {bench.client.AddForeignFile()}) == -EINVAL);
  bench.slot().SetIntx(true);
  CHECK(bench.client.Signals(bench.a) == 0);
}

TEST_CASE("EVENTFD_IRQ with -1 switches INTx off", "[uiommu]") {
  Lab bench;
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
  CHECK(bench.Give(bench.device, kEarlyIntx, {-1}) == 0);
  CHECK(bench.Give(bench.device, kEarlyIntx, {-1}) == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.client.Signals(bench.a) == 0);
}

TEST_CASE("INTx is masked when it has come, until IRQ_EOI, and comes again if it is still there",
          "[uiommu]") {
  Lab bench;
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
  bench.slot().SetIntx(true);
  CHECK(bench.client.Signals(bench.a) == 1);
  CHECK(bench.Masked());
  CHECK(bench.Ioctl(bench.device, kIrqEoi) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
  bench.slot().SetIntx(false);
  CHECK(bench.Ioctl(bench.device, kIrqEoi) == 0);
  CHECK_FALSE(bench.Masked());
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.Ioctl(bench.device, kIrqEoi) == 0);
}

TEST_CASE("UNMASK_IRQ of A-jul is IRQ_EOI", "[uiommu]") {
  Lab bench("A-jul");
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
  bench.slot().SetIntx(true);
  bench.slot().SetIntx(false);
  CHECK(bench.Masked());
  CHECK(bench.Ioctl(bench.device, kUnmaskJuly) == 0);
  CHECK_FALSE(bench.Masked());
}

TEST_CASE("A5 unmasks INTx by clearing its bit in COMMAND, which was not set", "[uiommu]") {
  Lab bench("A5");
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
  for (int i = 0; i < 2; ++i) {
    bench.slot().SetIntx(true);
    CHECK(bench.client.Signals(bench.a) == 1);
    bench.slot().SetIntx(false);
    REQUIRE(bench.Masked());
    const auto command = bench.Load<u16>(bench.device, bench.Config(PCI_COMMAND));
    CHECK((command & PCI_COMMAND_INTX_DISABLE) == 0);
    bench.Store<u16>(bench.device, bench.Config(PCI_COMMAND), command);
    CHECK_FALSE(bench.Masked());
  }
}

TEST_CASE("an INTx that is pending comes as its eventfd is set", "[uiommu]") {
  Lab bench;
  bench.slot().SetIntx(true);
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
  CHECK(bench.client.Signals(bench.a) == 1);
}

TEST_CASE("config space that is first read while INTx is masked does not keep it masked",
          "[uiommu]") {
  Lab bench;
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
  bench.slot().SetIntx(true);
  bench.slot().SetIntx(false);
  bench.Load<u16>(bench.device, bench.Config(PCI_COMMAND));
  CHECK(bench.Ioctl(bench.device, kIrqEoi) == 0);
  CHECK_FALSE(bench.Masked());
}

TEST_CASE("IRQ_EOI does not unmask what the client has disabled", "[uiommu]") {
  Lab bench;
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
  const auto command = bench.Load<u16>(bench.device, bench.Config(PCI_COMMAND));
  bench.Store<u16>(bench.device, bench.Config(PCI_COMMAND), command | PCI_COMMAND_INTX_DISABLE);
  CHECK(bench.Ioctl(bench.device, kIrqEoi) == 0);
  CHECK(bench.Masked());
}

TEST_CASE("IRQ_EOI_EVENTFD: a second one is EBUSY, none to take away ENODEV", "[uiommu]") {
  Lab bench;
  CHECK(bench.Ioctl(bench.device, kIrqEoiEventfd, 0xdead000) == -EFAULT);
  CHECK(bench.Give(bench.device, kIrqEoiEventfd, {-1}) == -ENODEV);
  CHECK(bench.Give(bench.device, kIrqEoiEventfd, {999}) == -EBADF);
  REQUIRE(bench.Give(bench.device, kIrqEoiEventfd, {bench.b}) == 0);
  CHECK(bench.Give(bench.device, kIrqEoiEventfd, {bench.c}) == -EBUSY);
  CHECK(bench.Give(bench.device, kIrqEoiEventfd, {-1}) == 0);
  CHECK(bench.Give(bench.device, kIrqEoiEventfd, {bench.c}) == 0);
}

TEST_CASE("an eventfd that its client has closed is none", "[uiommu]") {
  Lab bench;
  REQUIRE(bench.Give(bench.device, kIrqEoiEventfd, {bench.b}) == 0);
  bench.environment.clients_have_eventfds = false;
  CHECK(bench.Give(bench.device, kIrqEoiEventfd, {-1}) == -ENODEV);
}

TEST_CASE("each signal of the eventfd acts as IRQ_EOI", "[uiommu]") {
  for (const auto& [revision, command] :
       {std::pair{"A6", kIrqEoiEventfd}, std::pair{"A-jul", kUnmaskEventfdJuly}}) {
    Lab bench(revision);
    REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
    REQUIRE(bench.Give(bench.device, command, {bench.b}) == 0);
    bench.slot().SetIntx(true);
    bench.slot().SetIntx(false);
    REQUIRE(bench.Masked());
    bench.client.Signal(bench.b);
    bench.LookAtEventfds();
    CHECK_FALSE(bench.Masked());
  }
}

TEST_CASE("EVENTFDS_MSI: a list of none, too many or fewer than none is EINVAL", "[uiommu]") {
  Lab bench;
  CHECK(bench.Ioctl(bench.device, kEarlyMsi, 0xdead000) == -EFAULT);
  CHECK(bench.Give(bench.device, kEarlyMsi, {0}) == -EINVAL);
  CHECK(bench.Give(bench.device, kEarlyMsi, {-1}) == -EINVAL);
  CHECK(bench.Give(bench.device, kEarlyMsi, {33}) == -EINVAL);
  CHECK(bench.Give(bench.device, kEarlyMsi, {9}) == -EINVAL);  // the device has 8
}

TEST_CASE("EVENTFDS_MSI: what is no eventfd is EBADF or EINVAL, and nothing is set", "[uiommu]") {
  Lab bench;
  CHECK(bench.Give(bench.device, kEarlyMsi, {2, bench.a, 999}) == -EBADF);
  CHECK(bench.Give(bench.device, kEarlyMsi, {1, bench.client.AddForeignFile()}) == -EINVAL);
  CHECK(bench.Give(bench.device, kEarlyMsi, {0}) == -EINVAL);
}

TEST_CASE("EVENTFDS_MSI: vector i signals eventfd i, until a list of none", "[uiommu]") {
  Lab bench;
  REQUIRE(bench.Give(bench.device, kEarlyMsi, {2, bench.a, bench.b}) == 0);
  bench.slot().SignalMsi(1);
  CHECK(bench.client.Signals(bench.a) == 0);
  CHECK(bench.client.Signals(bench.b) == 1);
  CHECK(bench.Give(bench.device, kEarlyMsi, {1, bench.a}) == -EINVAL);
  CHECK(bench.Give(bench.device, kEarlyMsi, {0}) == 0);
  bench.slot().SignalMsi(1);
  CHECK(bench.client.Signals(bench.b) == 0);
}

TEST_CASE("INTx and MSI exclude each other; MSI-X excludes neither", "[uiommu]") {
  Lab bench;
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {bench.a}) == 0);
  CHECK(bench.Give(bench.device, kEarlyMsi, {1, bench.b}) == -EINVAL);
  CHECK(bench.Give(bench.device, kEarlyMsix, {1, bench.c}) == 0);
  REQUIRE(bench.Give(bench.device, kEarlyIntx, {-1}) == 0);
  REQUIRE(bench.Give(bench.device, kEarlyMsi, {1, bench.b}) == 0);
  CHECK(bench.Give(bench.device, kEarlyIntx, {bench.a}) == -EINVAL);
}

TEST_CASE("EVENTFDS_MSIX: no MSI-X, or more than its table has, is EINVAL", "[uiommu]") {
  Lab bare("A6", kBare);
  CHECK(bare.Give(bare.device, kEarlyMsix, {1, bare.a}) == -EINVAL);
  Lab bench;
  CHECK(bench.Give(bench.device, kEarlyMsix, {5}) == -EINVAL);
  REQUIRE(bench.Give(bench.device, kEarlyMsix, {2, bench.a, bench.b}) == 0);
  bench.slot().SignalMsi(0);
  CHECK(bench.client.Signals(bench.a) == 1);
  CHECK(bench.Give(bench.device, kEarlyMsix, {0}) == 0);
}

TEST_CASE("the last close lets go of all interrupts", "[uiommu]") {
  Lab bench;
  REQUIRE(bench.Give(bench.device, kEarlyMsix, {1, bench.a}) == 0);
  REQUIRE(bench.Give(bench.device, kIrqEoiEventfd, {bench.b}) == 0);
  bench.Close(bench.device);
  CHECK(bench.environment.watches() == 0);
  CHECK_FALSE(bench.slot().MsiEnabled());
}
