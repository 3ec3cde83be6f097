// Steps that read, write and map the regions of a device, and drive the edu device's DMA.
#include <linux/vfio.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hostile/thread.hpp"

namespace hostile {
namespace {

constexpr int64_t RegionAt(uint64_t index, uint64_t at) {
  return static_cast<int64_t>(index << 40 | (at & ((1ull << 40) - 1)));
}

int64_t SomeOffset(Dice& dice) {
  if (dice.Percent(3))
    return static_cast<int64_t>(dice.Percent(50) ? dice.Boundary() : dice.Next());
  const uint64_t index = dice.Percent(40) ? 7 : dice.Below(10);
  // Every byte of config space and of the first registers, or around a boundary.
  const uint64_t at =
      dice.Percent(75) ? dice.Below(4096 + 16) : dice.Boundary() + dice.Below(3) - 1;
  return RegionAt(index, at);
}

std::size_t SomeLength(Dice& dice) {
  constexpr std::size_t kCommon[] = {1, 2, 4, 8, 3, 5, 6, 7, 16, 64, 256};
  if (dice.Percent(90)) return dice.Pick(kCommon);
  constexpr std::size_t kRare[] = {0,      4095,    4096,    4097,     65536,
                                   131072, 1 << 20, 1 << 22, SIZE_MAX, SIZE_MAX / 2};
  return dice.Pick(kRare);
}

// Where the bytes go to or come from: good memory, or memory that ends on the way.
void* SomeBuffer(Thread& thread, std::size_t length) {
  Dice& dice = thread.dice;
  if (dice.Percent(60)) return thread.holdings.memory();
  if (dice.Percent(10)) return reinterpret_cast<void*>(dice.Boundary());
  const auto border = static_cast<Border>(dice.Below(static_cast<uint64_t>(Border::kCount)));
  return thread.brink.Place(dice.Below(std::min<std::size_t>(length, kPage) + 1), border);
}

void WriteRegister(Thread& thread, int fd, uint64_t at, uint32_t value) {
  thread.Call(Kind::kWrite, [&] { return pwrite(fd, &value, 4, RegionAt(0, at)); });
}

}  // namespace

void AccessRegion(Thread& thread) {
  Dice& dice = thread.dice;
  const int fd = thread.holdings.Get(dice.Percent(95) ? Sort::kDevice : Sort::kGroup, dice);
  const int64_t offset = SomeOffset(dice);
  const std::size_t length = SomeLength(dice);
  void* buffer = SomeBuffer(thread, length);
  const iovec parts[] = {{buffer, std::min<std::size_t>(length, 64)},
                         {thread.holdings.memory(), dice.Below(100)},
                         {SomeBuffer(thread, 8), dice.Below(9)}};
  constexpr int kFlags[] = {0, 0, RWF_NOWAIT, RWF_HIPRI, RWF_DSYNC, RWF_APPEND, -1};
  const bool writes = dice.Percent(45);
  const Kind kind = writes ? Kind::kWrite : Kind::kRead;
  switch (dice.Below(5)) {
    case 0:
      thread.Call(kind, [&] {
        if (dice.Percent(50)) return writes ? writev(fd, parts, 3) : readv(fd, parts, 3);
        // Something can always be read there: no more than the client's own memory may take.
        const std::size_t some = std::min<std::size_t>(length, 64);
        return writes ? write(fd, buffer, some) : read(fd, buffer, some);
      });
      break;
    case 1:
      thread.Call(kind, [&] {
        return writes ? pwritev(fd, parts, 3, offset) : preadv(fd, parts, 3, offset);
      });
      break;
    case 2: {
      const int flags = dice.Pick(kFlags);
      thread.Call(kind, [&] {
        return writes ? pwritev2(fd, parts, 2, offset, flags)
                      : preadv2(fd, parts, 2, offset, flags);
      });
      break;
    }
    default:
      thread.Call(kind, [&] {
        return writes ? pwrite(fd, buffer, length, offset) : pread(fd, buffer, length, offset);
      });
      break;
  }
}

void DriveEdu(Thread& thread) {
  Dice& dice = thread.dice;
  const int fd = thread.holdings.Latest(Sort::kDevice);
  const uint32_t iova = static_cast<uint32_t>(0x100000 + dice.Below(64) * kPage + dice.Below(64));
  const uint32_t buffer = static_cast<uint32_t>(0x40000 + dice.Below(4200));
  const bool to_memory = dice.Percent(50);
  WriteRegister(thread, fd, 0x80, to_memory ? buffer : iova);
  WriteRegister(thread, fd, 0x88, to_memory ? iova : buffer);
  WriteRegister(thread, fd, 0x90, static_cast<uint32_t>(dice.Percent(80) ? 64 : dice.Boundary()));
  WriteRegister(thread, fd, 0x98, to_memory ? 7 : 5);  // with an interrupt at the end
  if (dice.Percent(50)) WriteRegister(thread, fd, 0x08, static_cast<uint32_t>(dice.Below(20)));
  if (dice.Percent(50)) WriteRegister(thread, fd, 0x60, static_cast<uint32_t>(dice.Next()));
  if (dice.Percent(50)) WriteRegister(thread, fd, 0x64, ~0u);
}

void MapRegion(Thread& thread) {
  Dice& dice = thread.dice;
  constexpr int kProtections[] = {PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE, PROT_NONE,
                                  PROT_READ | PROT_EXEC};
  constexpr int kFlags[] = {MAP_SHARED,
                            MAP_SHARED,
                            MAP_SHARED,
                            MAP_PRIVATE,
                            MAP_SHARED_VALIDATE,
                            MAP_SHARED | MAP_POPULATE,
                            MAP_SHARED | MAP_LOCKED};
  const int fd = thread.holdings.Get(dice.Percent(90) ? Sort::kDevice : Sort::kOther, dice);
  const std::size_t length = dice.Percent(80) ? (1 + dice.Below(4)) * kPage : dice.Boundary();
  const int64_t offset = RegionAt(dice.Below(dice.Percent(90) ? 6 : 12), dice.Below(4) * kPage);
  const int protection = dice.Pick(kProtections), flags = dice.Pick(kFlags);
  void* at = nullptr;
  const long mapped = thread.Call(Kind::kMmap, [&] {
    at = mmap(nullptr, length, protection, flags, fd, offset);
    return at == MAP_FAILED ? -1L : 0L;
  });
  if (mapped < 0) return;
  std::size_t size = length;
  for (uint64_t i = dice.Below(8); i > 0; i--) {
    // The kernel copies, so that a page that is not there is an errno and no signal.
    uint64_t word = dice.Next();
    const iovec here{&word, sizeof word};
    const iovec there{static_cast<std::byte*>(at) + dice.Below(std::min<std::size_t>(size, 65536)),
                      sizeof word};
    thread.Call(Kind::kTouch, [&] {
      return dice.Percent(50) ? process_vm_readv(getpid(), &here, 1, &there, 1, 0)
                              : process_vm_writev(getpid(), &here, 1, &there, 1, 0);
    });
  }
  if (dice.Percent(30)) mprotect(at, kPage, dice.Pick(kProtections));
  if (dice.Percent(30)) madvise(at, kPage, static_cast<int>(dice.Below(26)));
  if (dice.Percent(30)) {
    thread.Call(Kind::kMremap, [&] {
      void* moved = mremap(at, size, dice.Below(6) * kPage, MREMAP_MAYMOVE);
      if (moved != MAP_FAILED) at = moved;
      return moved == MAP_FAILED ? -1L : 0L;
    });
  }
  // What mremap made longer stays mapped behind; the process ends soon.
  thread.Call(Kind::kMunmap, [&] { return munmap(at, dice.Percent(50) ? size : kPage); });
}

void ChangeMemory(Thread& thread) {
  Dice& dice = thread.dice;
  std::byte* page = thread.holdings.memory() + dice.Below(2 * Holdings::kMemory / kPage) * kPage;
  constexpr int kProtections[] = {PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE,
                                  PROT_READ | PROT_WRITE};
  switch (dice.Below(4)) {
    case 0:
      mprotect(page, kPage, dice.Pick(kProtections));
      break;
    case 1:
      madvise(page, kPage, MADV_DONTNEED);
      break;
    case 2:  // new memory in the place of what may be mapped for DMA
      mmap(page, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      break;
    default:
      mprotect(thread.holdings.memory(), 2 * Holdings::kMemory, PROT_READ | PROT_WRITE);
      break;
  }
}

}  // namespace hostile
