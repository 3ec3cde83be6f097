// Steps that are ioctls.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hostile/calls.hpp"

namespace hostile {
namespace {

constexpr std::size_t kMostCuts = 160;  // more than any struct has bytes
constexpr std::size_t kBorders = static_cast<std::size_t>(Border::kCount);

Kind AnyIoctl(Dice& dice) { return static_cast<Kind>(dice.Below(kIoctls)); }

// Mostly the one that the call is for.
int DescriptorFor(Thread& thread, const VfioCall& call) {
  Dice& dice = thread.dice;
  const Sort sort = dice.Percent(92) ? call.sort : static_cast<Sort>(dice.Below(5));
  return thread.holdings.Get(sort, dice);
}

void Flip(VfioCall& call, Dice& dice) {
  if (call.bytes.empty()) {
    call.value ^= 1ull << dice.Below(64);
    return;
  }
  for (uint64_t flips = 1 + dice.Below(3); flips > 0; flips--)
    call.bytes[dice.Below(call.bytes.size())] ^= std::byte(1u << dice.Below(8));
}

// One field becomes a boundary value; `size` bytes at that place.
void SetField(VfioCall& call, std::size_t at, uint64_t value, std::size_t size) {
  if (at >= call.bytes.size()) return;
  memcpy(call.bytes.data() + at, &value, std::min(size, call.bytes.size() - at));
}

void SetSomeField(VfioCall& call, Dice& dice) {
  if (call.bytes.empty()) {
    call.value = dice.Boundary();
    return;
  }
  const std::size_t at = dice.Below((call.bytes.size() + 3) / 4) * 4;
  SetField(call, at, dice.Boundary(), dice.Percent(50) ? 4 : 8);
}

unsigned long UnknownCommand(Dice& dice) {
  constexpr unsigned long kDirections[] = {_IOC_NONE, _IOC_READ, _IOC_WRITE,
                                           _IOC_READ | _IOC_WRITE};
  if (dice.Percent(60)) return _IO(VFIO_TYPE, VFIO_BASE + dice.Below(40));
  return _IOC(dice.Pick(kDirections), VFIO_TYPE, dice.Below(256), dice.Below(1 << 13));
}

}  // namespace

void SetUp(Thread& thread) {
  Dice& dice = thread.dice;
  const World& world = thread.process.world;
  constexpr int kFlags[] = {O_RDWR, O_RDWR, O_RDWR | O_CLOEXEC, O_RDWR | O_NONBLOCK};
  Function function;
  int group = -1;
  // First one that few others want.
  uint64_t wanted = thread.process.seed;
  for (unsigned attempts = 4; attempts > 0 && group < 0; attempts--, wanted = dice.Next()) {
    function = world.functions[wanted % world.functions.size()];
    group = static_cast<int>(thread.Call(
        Kind::kOpen, [&] { return open(world.Group(function).c_str(), dice.Pick(kFlags)); }));
  }
  if (group < 0) return;
  thread.Keep(Sort::kGroup, group);
  int container = thread.holdings.Latest(Sort::kContainer);
  if (container < 0 || dice.Percent(70)) {
    container = static_cast<int>(thread.Call(
        Kind::kOpen, [&] { return open(world.Container().c_str(), dice.Pick(kFlags)); }));
    thread.Keep(Sort::kContainer, container);
  }
  thread.Call(Kind::kSetContainer,
              [&] { return ioctl(group, VFIO_GROUP_SET_CONTAINER, &container); });
  thread.Call(Kind::kSetIommu,
              [&] { return ioctl(container, VFIO_SET_IOMMU, dice.Percent(80) ? 3 : 1); });
  const int device = static_cast<int>(thread.Call(Kind::kGetDeviceFd, [&] {
    return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, function.address.c_str());
  }));
  if (device < 0) return;
  thread.Keep(Sort::kDevice, device);
  const uint16_t memory_and_master = 6;
  thread.Call(Kind::kWrite, [&] {
    return pwrite(device, &memory_and_master, 2, int64_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40 | 4);
  });
}

void CallValid(Thread& thread) {
  const VfioCall call = MakeCall(AnyIoctl(thread.dice), thread);
  Perform(thread, call, thread.holdings.Get(call.sort, thread.dice), kPage, Border::kNone);
}

void CallMutated(Thread& thread) {
  Dice& dice = thread.dice;
  if (dice.Percent(8)) {
    VfioCall unknown{Kind::kUnknownIoctl, UnknownCommand(dice), static_cast<Sort>(dice.Below(4)),
                     std::vector<std::byte>(64, std::byte{static_cast<uint8_t>(dice.Below(65))})};
    // A struct as long as the number says would not fit in.
    Perform(thread, unknown, thread.holdings.Get(unknown.sort, dice), kPage, Border::kNone);
    return;
  }
  VfioCall call = MakeCall(AnyIoctl(dice), thread);
  for (uint64_t changes = 1 + dice.Below(2); changes > 0; changes--)
    dice.Percent(50) ? Flip(call, dice) : SetSomeField(call, dice);
  if (!call.bytes.empty() && dice.Percent(10)) {
    // A wild pointer, of which nothing is known.
    call.value = dice.Percent(50) ? dice.Boundary() : dice.Next();
    call.bytes.clear();
  }
  const std::size_t cut = dice.Percent(50) ? kPage : dice.Below(call.bytes.size() + 1);
  const auto border = static_cast<Border>(dice.Below(kBorders));
  Perform(thread, call, DescriptorFor(thread, call), cut, border);
}

void SweepCuts(Thread& thread) {
  // Neighbours differ in the byte, so that a few steps see most of a struct.
  const uint64_t number = thread.process.ledger.next_cut++;
  const auto kind = static_cast<Kind>(number / kMostCuts / kBorders % kIoctls);
  const VfioCall call = MakeCall(kind, thread);
  const auto border = static_cast<Border>(number / kMostCuts % kBorders);
  const std::size_t cut = number % kMostCuts;
  if (cut > call.bytes.size()) return;
  Perform(thread, call, thread.holdings.Latest(call.sort), cut, border);
}

void SweepWords(Thread& thread) {
  // 0 to 39: 4 bytes each; the last three values are those around the struct's own size.
  constexpr std::size_t kWords = 40, kValues = kBoundaries.size() + 3;
  const uint64_t number = thread.process.ledger.next_word++;
  const auto kind = static_cast<Kind>(number / kValues / kWords % kIoctls);
  VfioCall call = MakeCall(kind, thread);
  const std::size_t word = number / kValues % kWords, which = number % kValues;
  if (4 * word >= call.bytes.size() && word > 0) return;
  const uint64_t value = which < kBoundaries.size()
                             ? kBoundaries[which]
                             : call.bytes.size() + which - kBoundaries.size() - 1;
  call.value = value;
  SetField(call, 4 * word, value, value > UINT32_MAX ? 8 : 4);
  Perform(thread, call, thread.holdings.Latest(call.sort), kPage, Border::kNone);
}

void CallSlowMemory(Thread& thread) {
  const int faults = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
  if (faults < 0) return;
  uffdio_api api{UFFD_API, 0, 0};
  void* page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uffdio_register range{{reinterpret_cast<uint64_t>(page), kPage}, UFFDIO_REGISTER_MODE_MISSING, 0};
  if (ioctl(faults, UFFDIO_API, &api) == 0 && ioctl(faults, UFFDIO_REGISTER, &range) == 0) {
    thread.process.ledger.slow_memory++;
    const VfioCall call = MakeCall(AnyIoctl(thread.dice), thread);
    const int fd = thread.holdings.Get(call.sort, thread.dice);
    thread.Call(call.kind, [&] { return ioctl(fd, call.command, page); });
  }
  close(faults);  // what waits for the page goes on
  munmap(page, kPage);
}

}  // namespace hostile
