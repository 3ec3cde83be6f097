// A device's interrupts of October 2011 to January 2012.
#include <catch2/catch.hpp>

#include "support/merge_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

constexpr u32 kIntx = 0, kMsi = 1, kMsix = 2;

struct WithDevice : MergeBench {
  explicit WithDevice(std::string_view revision,
                      std::vector<Placed> devices = Only(fake_devices::kEdu, {{"msix_vectors", 4}}))
      : MergeBench(revision, std::move(devices)),
        device(OpenDevice(OpenGroup())),
        eventfd(client.AddEventfd()) {
    slot().config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, true);
  }

  struct Info {
    u32 count, flags;
  };
  long IrqInfo(u32 index, Info& info) {
    const bool october = !has_argsz();
    const u32 length = n.revision == "B0" ? 24 : 16;
    // The structs of October have the index in the second word, the others in the third.
    const long result = october ? Give(device, n.irq_info, {length, index, 0, 0, 0, 0})
                                : Give(device, n.irq_info, {16, 0, index, 0});
    info = n.revision == "B0"   ? Info{Word(2), Word(4)}
           : n.revision == "B1" ? Info{Word(2), Word(3)}
                                : Info{Word(3), Word(1)};
    return result;
  }
  // SET_IRQ_EVENTFDS, of B0 to B2.
  long Set(u32 index, std::vector<int> fds) {
    std::vector<u32> words{index, static_cast<u32>(fds.size())};
    if (has_argsz()) words.insert(words.begin(), {16 + 4 * static_cast<u32>(fds.size()), 0});
    words.insert(words.end(), fds.begin(), fds.end());
    return Give(device, n.set_irqs, words);
  }
  long Unmask() { return Give(device, n.unmask, {16, 0, 0, 0}); }
  long SetUnmask(int fd) {
    if (!has_argsz()) return GiveInt(device, n.set_unmask, fd);
    if (fd < 0) return Give(device, n.set_unmask, {16, 0, 0, 0});
    return Give(device, n.set_unmask, {20, 0, 0, 1, static_cast<u32>(fd)});
  }
  void Raise() { Store<u32>(device, 0x60, 1); }
  void Acknowledge() { Store<u32>(device, 0x64, 1); }

  int device, eventfd;
};

constexpr std::string_view kEventfds[] = {"B0", "B1", "B2"};

}  // namespace

TEST_CASE("DEVICE_GET_IRQ_INFO: how many of each, and that INTx is a level", "[merge]") {
  for (const std::string_view revision : kEventfds) {
    WithDevice bench(revision);
    WithDevice::Info info{};
    REQUIRE(bench.IrqInfo(kIntx, info) == 0);
    CHECK(info.count == 1);
    CHECK(info.flags == 1);
    REQUIRE(bench.IrqInfo(kMsix, info) == 0);
    CHECK(info.count == 4);
    CHECK(info.flags == 0);
    CHECK(bench.IrqInfo(3, info) == -EINVAL);
    CHECK(bench.Ioctl(bench.device, bench.n.irq_info, 0xdead000) == -EFAULT);
  }
}

TEST_CASE("DEVICE_GET_IRQ_INFO of MSI: in October the exponent was taken for twice what it is",
          "[merge]") {
  WithDevice::Info info{};
  WithDevice b0("B0", MergeBench::Only(kPlenty)), b1("B1", MergeBench::Only(kPlenty)),
      b2("B2", MergeBench::Only(kPlenty)), one("B1"), none("B1", MergeBench::Only(kBare));
  for (WithDevice* bench : {&b0, &b1}) {
    REQUIRE(bench->IrqInfo(kMsi, info) == 0);
    CHECK(info.count == 64);
  }
  REQUIRE(b2.IrqInfo(kMsi, info) == 0);
  CHECK(info.count == 8);
  REQUIRE(one.IrqInfo(kMsi, info) == 0);
  CHECK(info.count == 1);
  REQUIRE(none.IrqInfo(kMsi, info) == 0);
  CHECK(info.count == 0);
}

TEST_CASE("DEVICE_GET_IRQ_INFO: another length than the struct's is EINVAL", "[merge]") {
  WithDevice b0("B0"), b1("B1"), b2("B2");
  CHECK(b0.Give(b0.device, b0.n.irq_info, {16, 0, 0, 0, 0, 0}) == -EINVAL);
  CHECK(b1.Give(b1.device, b1.n.irq_info, {24, 0, 0, 0, 0, 0}) == -EINVAL);
  CHECK(b2.Give(b2.device, b2.n.irq_info, {15, 0, 0, 0}) == -EINVAL);
  CHECK(b2.Give(b2.device, b2.n.irq_info, {24, 0, 0, 0, 0, 0}) == 0);
}

TEST_CASE("DEVICE_SET_IRQ_EVENTFDS: what it refuses", "[merge]") {
  for (const std::string_view revision : kEventfds) {
    WithDevice bench(revision);
    CHECK(bench.Ioctl(bench.device, bench.n.set_irqs, 0xdead000) == -EFAULT);
    CHECK(bench.Set(3, {bench.eventfd}) == -EINVAL);
    CHECK(bench.Set(kIntx, {bench.eventfd, bench.eventfd}) == -EINVAL);
    CHECK(bench.Set(kIntx, {-1}) == -EINVAL);
    CHECK(bench.Set(kIntx, {999}) == -EBADF);
    CHECK(bench.Set(kIntx, {bench.client.AddForeignFile()}) == -EINVAL);
    CHECK(bench.Set(kMsix, {}) == -EINVAL);
    CHECK(bench.Set(kMsix, std::vector<int>(5, bench.eventfd)) == -EINVAL);
    CHECK(bench.Set(kMsix, {bench.eventfd, 999}) == -EBADF);
  }
  WithDevice october("B1");
  CHECK(october.Give(october.device, october.n.set_irqs, {kMsix, ~0u}) == -EINVAL);
}

TEST_CASE("DEVICE_SET_IRQ_EVENTFDS since December: argsz and flags", "[merge]") {
  WithDevice bench("B2");
  const u32 fd = static_cast<u32>(bench.eventfd);
  CHECK(bench.Give(bench.device, bench.n.set_irqs, {15, 0, kIntx, 1, fd}) == -EINVAL);
  CHECK(bench.Give(bench.device, bench.n.set_irqs, {20, 1, kIntx, 1, fd}) == -EINVAL);
  CHECK(bench.Give(bench.device, bench.n.set_irqs, {19, 0, kIntx, 1, fd}) == -EINVAL);
  CHECK(bench.Give(bench.device, bench.n.set_irqs, {20, 0, kMsix, 2, fd}) == -EINVAL);
  CHECK(bench.Give(bench.device, bench.n.set_irqs, {~0u, 0, kMsix, 5, fd}) == -EINVAL);
  CHECK(bench.Give(bench.device, bench.n.set_irqs, {20, 0, kIntx, 1, fd}) == 0);
}

TEST_CASE("INTx stays masked until UNMASK_IRQ, and fires again if it is still asserted",
          "[merge]") {
  for (const std::string_view revision : kEventfds) {
    WithDevice bench(revision);
    REQUIRE(bench.Set(kIntx, {bench.eventfd}) == 0);
    bench.Raise();
    CHECK(bench.client.Signals(bench.eventfd) == 1);
    CHECK(bench.Unmask() == 0);
    CHECK(bench.client.Signals(bench.eventfd) == 1);
    bench.Acknowledge();
    CHECK(bench.Unmask() == 0);
    CHECK(bench.client.Signals(bench.eventfd) == 0);
    CHECK(bench.Set(kIntx, {}) == 0);
    bench.Raise();
    CHECK(bench.client.Signals(bench.eventfd) == 0);
  }
}

TEST_CASE("INTx: the eventfd before goes, whatever the new one is", "[merge]") {
  for (const std::string_view revision : kEventfds) {
    for (const int bad : {-1, 999}) {
      WithDevice bench(revision);
      REQUIRE(bench.Set(kIntx, {bench.eventfd}) == 0);
      CHECK(bench.Set(kIntx, {bad}) < 0);
      bench.Raise();
      CHECK(bench.client.Signals(bench.eventfd) == 0);
    }
  }
}

TEST_CASE("INTx of a device without a pin: none, and no eventfd for it", "[merge]") {
  for (const std::string_view revision : kEventfds) {
    WithDevice bench(revision, MergeBench::Only(kBare));
    WithDevice::Info info{9, 9};
    REQUIRE(bench.IrqInfo(kIntx, info) == 0);
    CHECK((info.count == 0 && info.flags == 0));
    CHECK(bench.Set(kIntx, {bench.eventfd}) == -EINVAL);
  }
}

TEST_CASE("MSI-X goes along with INTx", "[merge]") {
  for (const std::string_view revision : kEventfds) {
    WithDevice bench(revision);
    REQUIRE(bench.Set(kIntx, {bench.eventfd}) == 0);
    CHECK(bench.Set(kMsix, {bench.eventfd}) == 0);
  }
}

TEST_CASE("DEVICE_UNMASK_IRQ: in October whatever the argument, later INTx only", "[merge]") {
  WithDevice october("B1"), december("B2");
  CHECK(october.Ioctl(october.device, october.n.unmask, 0xdead000) == 0);
  CHECK(december.Ioctl(december.device, december.n.unmask, 0xdead000) == -EFAULT);
  CHECK(december.Give(december.device, december.n.unmask, {15, 0, 0, 0}) == -EINVAL);
  CHECK(december.Give(december.device, december.n.unmask, {16, 1, 0, 0}) == -EINVAL);
  CHECK(december.Give(december.device, december.n.unmask, {16, 0, 1, 0}) == -EINVAL);
  CHECK(december.Give(december.device, december.n.unmask, {16, 0, 0, 1}) == -EINVAL);
}

TEST_CASE(
    "DEVICE_SET_UNMASK_IRQ_EVENTFD and its plural: one at a time, by whose signal INTx comes again",
    "[merge]") {
  for (const std::string_view revision : kEventfds) {
    WithDevice bench(revision);
    const int unmask = bench.client.AddEventfd();
    CHECK(bench.SetUnmask(-1) == -ENODEV);
    CHECK(bench.SetUnmask(999) == -EBADF);
    REQUIRE(bench.SetUnmask(unmask) == 0);
    CHECK(bench.SetUnmask(unmask) == -EBUSY);
    REQUIRE(bench.Set(kIntx, {bench.eventfd}) == 0);
    bench.Raise();
    CHECK(bench.client.Signals(bench.eventfd) == 1);
    bench.client.Signal(unmask);
    bench.LookAtEventfds();
    CHECK(bench.client.Signals(bench.eventfd) == 1);
    CHECK(bench.SetUnmask(-1) == 0);
  }
  WithDevice bench("B2");
  CHECK(bench.Give(bench.device, bench.n.set_unmask, {20, 1, 0, 1, 5}) == -EINVAL);
  CHECK(bench.Give(bench.device, bench.n.set_unmask, {20, 0, 1, 1, 5}) == -EINVAL);
  CHECK(bench.Give(bench.device, bench.n.set_unmask, {24, 0, 0, 2, 5, 5}) == -EINVAL);
  CHECK(bench.Give(bench.device, bench.n.set_unmask, {19, 0, 0, 1, 5}) == -EINVAL);
}

TEST_CASE("a vector of MSI-X signals the eventfd of its place, until the list is taken away",
          "[merge]") {
  for (const std::string_view revision : kEventfds) {
    WithDevice bench(revision);
    const int second = bench.client.AddEventfd();
    REQUIRE(bench.Set(kMsix, {bench.eventfd, second}) == 0);
    bench.slot().SignalMsi(1);
    CHECK(bench.client.Signals(bench.eventfd) == 0);
    CHECK(bench.client.Signals(second) == 1);
    CHECK(bench.Set(kMsix, {bench.eventfd}) == -EINVAL);
    CHECK(bench.Set(kMsix, {}) == 0);
    bench.slot().SignalMsi(1);
    CHECK(bench.client.Signals(second) == 0);
  }
}

TEST_CASE("INTx and MSI exclude one another", "[merge]") {
  for (const std::string_view revision : kEventfds) {
    WithDevice bench(revision, MergeBench::Only(kPlenty));
    REQUIRE(bench.Set(kIntx, {bench.eventfd}) == 0);
    CHECK(bench.Set(kMsi, {bench.eventfd}) == -EINVAL);
    REQUIRE(bench.Set(kIntx, {}) == 0);
    REQUIRE(bench.Set(kMsi, {bench.eventfd}) == 0);
    CHECK(bench.Set(kIntx, {bench.eventfd}) == -EINVAL);
    CHECK(bench.Set(kIntx, {}) == 0);
  }
}

TEST_CASE("B3 sets interrupts as it is done today, but knows three indexes", "[merge]") {
  WithDevice bench("B3");
  WithDevice::Info info{};
  REQUIRE(bench.IrqInfo(kIntx, info) == 0);
  CHECK(info.count == 1);
  CHECK(info.flags == (VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED));
  REQUIRE(bench.IrqInfo(kMsix, info) == 0);
  CHECK(info.count == 4);
  CHECK(bench.IrqInfo(VFIO_PCI_ERR_IRQ_INDEX, info) == -EINVAL);
  const auto set = [&](u32 flags, u32 index, u32 start, u32 count, int fd) {
    return bench.Give(bench.device, bench.n.set_irqs,
                      {24, flags, index, start, count, static_cast<u32>(fd)});
  };
  constexpr u32 kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD;
  CHECK(set(kTrigger, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, bench.eventfd) == -EINVAL);
  REQUIRE(set(kTrigger, kMsix, 2, 1, bench.eventfd) == 0);
  bench.slot().SignalMsi(2);
  CHECK(bench.client.Signals(bench.eventfd) == 1);
  REQUIRE(set(VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE, kMsix, 2, 1, 0) == 0);
  CHECK(bench.client.Signals(bench.eventfd) == 1);
  REQUIRE(set(VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE, kMsix, 0, 0, 0) == 0);
  REQUIRE(set(kTrigger, kIntx, 0, 1, bench.eventfd) == 0);
  bench.Raise();
  CHECK(bench.client.Signals(bench.eventfd) == 1);
  bench.Acknowledge();
  CHECK(set(VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE, kIntx, 0, 1, 0) == 0);
  // Written by the client, in config space.
  bench.Store<u16>(bench.device, kConfig + PCI_COMMAND,
                   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
  bench.Raise();
  CHECK(bench.client.Signals(bench.eventfd) == 0);
  bench.Store<u16>(bench.device, kConfig + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  CHECK(bench.client.Signals(bench.eventfd) == 1);
}

TEST_CASE("DEVICE_SET_IRQS does not have the calls that it came for", "[merge]") {
  WithDevice bench("B3");
  CHECK(bench.Ioctl(bench.device, 0x3b71) == -ENOTTY);
  CHECK(bench.Ioctl(bench.device, 0x3b72) == -ENOTTY);
}
