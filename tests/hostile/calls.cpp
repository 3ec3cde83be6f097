#include "hostile/calls.hpp"

#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace hostile {
namespace {

// Builds a struct word by word.
class Bytes {
 public:
  Bytes& U32(uint64_t value) { return Append(static_cast<uint32_t>(value)); }
  Bytes& U64(uint64_t value) { return Append(value); }
  Bytes& U8(uint64_t value) { return Append(static_cast<uint8_t>(value)); }
  Bytes& Text(const std::string& text) {
    for (const char c : text) U8(static_cast<uint8_t>(c));
    return U8(0);
  }
  // argsz is the first word of nearly all: it becomes the size.
  std::vector<std::byte> Sized() {
    const auto size = static_cast<uint32_t>(bytes_.size());
    memcpy(bytes_.data(), &size, sizeof size);
    return bytes_;
  }
  std::vector<std::byte> Take() { return bytes_; }

 private:
  template <class T>
  Bytes& Append(T value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
    return *this;
  }
  std::vector<std::byte> bytes_;
};

uint64_t Iova(Dice& dice) {
  return dice.Percent(95) ? 0x100000 + dice.Below(64) * kPage : dice.Boundary();
}
uint64_t Size(Dice& dice) {
  constexpr uint64_t kLarge[] = {1ull << 21, 1ull << 30, 1ull << 38, 1ull << 46};
  return dice.Percent(95) ? (1 + dice.Below(8)) * kPage : dice.Pick(kLarge);
}

VfioCall ContainerCall(Kind kind, Thread& thread) {
  Dice& dice = thread.dice;
  const auto call = [&](unsigned long command, std::vector<std::byte> bytes) {
    return VfioCall{kind, command, Sort::kContainer, std::move(bytes)};
  };
  switch (kind) {
    case Kind::kGetApiVersion:
      return {kind, VFIO_GET_API_VERSION, Sort::kContainer, {}, dice.Boundary()};
    case Kind::kCheckExtension:
      return {kind, VFIO_CHECK_EXTENSION, Sort::kContainer, {}, dice.Below(13)};
    case Kind::kSetIommu:
      return {kind, VFIO_SET_IOMMU, Sort::kContainer, {}, dice.Percent(80) ? 3 : dice.Below(10)};
    case Kind::kGetInfo: {
      Bytes info;
      info.U32(0).U32(0).U64(0).U32(0).U32(0);
      for (unsigned i = 0; i < 12; i++) info.U64(0);
      return call(VFIO_IOMMU_GET_INFO, info.Sized());
    }
    case Kind::kMapDma:
      return call(VFIO_IOMMU_MAP_DMA, Bytes()
                                          .U32(0)
                                          .U32(dice.Percent(90) ? 3 : dice.Below(8))
                                          .U64(thread.holdings.Address(dice))
                                          .U64(Iova(dice))
                                          .U64(Size(dice))
                                          .Sized());
    case Kind::kUnmapDma: {
      Bytes unmap;
      unmap.U32(0);
      const uint64_t flags = dice.Percent(50) ? 0 : dice.Below(6);
      unmap.U32(flags);
      if (flags & 2)
        unmap.U64(0).U64(0);
      else
        unmap.U64(Iova(dice)).U64(Size(dice));
      if (flags & 1) unmap.U64(kPage).U64(8).U64(thread.holdings.Address(dice));
      return call(VFIO_IOMMU_UNMAP_DMA, unmap.Sized());
    }
    default: {
      const uint64_t flags = 1u << dice.Below(3);
      Bytes dirty;
      dirty.U32(0).U32(flags);
      if (flags == 4)
        dirty.U64(Iova(dice)).U64(Size(dice)).U64(kPage).U64(64).U64(thread.holdings.Address(dice));
      return call(VFIO_IOMMU_DIRTY_PAGES, dirty.Sized());
    }
  }
}

VfioCall GroupCall(Kind kind, Thread& thread) {
  Dice& dice = thread.dice;
  const auto call = [&](unsigned long command, std::vector<std::byte> bytes) {
    return VfioCall{kind, command, Sort::kGroup, std::move(bytes)};
  };
  switch (kind) {
    case Kind::kGroupGetStatus:
      return call(VFIO_GROUP_GET_STATUS, Bytes().U32(0).U32(0).Sized());
    case Kind::kSetContainer: {
      const int fd = thread.holdings.Get(Sort::kContainer, dice);
      return call(VFIO_GROUP_SET_CONTAINER, Bytes().U32(static_cast<uint32_t>(fd)).Take());
    }
    case Kind::kUnsetContainer:
      return {kind, VFIO_GROUP_UNSET_CONTAINER, Sort::kGroup, {}, dice.Boundary()};
    default: {
      const auto& functions = thread.process.world.functions;
      std::string name = functions[dice.Below(functions.size())].address;
      if (dice.Percent(20)) name += " vf_token=2ab74924-c335-45f4-9b16-8569e5b08258";
      return call(VFIO_GROUP_GET_DEVICE_FD, Bytes().Text(name).Take());
    }
  }
}

std::vector<std::byte> IrqSet(Thread& thread) {
  Dice& dice = thread.dice;
  constexpr uint64_t kData[] = {1, 2, 4}, kAction[] = {8, 16, 32};
  constexpr uint64_t kCounts[] = {0, 1, 1, 1, 2, 4, 8, 33, 64, 2048};
  const uint64_t data = dice.Percent(50) ? 4 : dice.Pick(kData);
  const uint64_t action = dice.Percent(60) ? 32 : dice.Pick(kAction);
  const uint64_t count = dice.Pick(kCounts);
  Bytes set;
  set.U32(0).U32(data | action).U32(dice.Below(5)).U32(dice.Percent(80) ? 0 : dice.Below(4));
  set.U32(count);
  for (uint64_t i = 0; i < count && data != 1; i++) {
    if (data == 2) {
      set.U8(dice.Below(2));
      continue;
    }
    // A trigger may be anything that is a descriptor; most of these are eventfds.
    const Sort sort = dice.Percent(90) ? Sort::kEventfd : static_cast<Sort>(dice.Below(5));
    set.U32(static_cast<uint32_t>(thread.holdings.Get(sort, dice)));
  }
  return set.Sized();
}

std::vector<std::byte> FeatureRequest(Thread& thread) {
  Dice& dice = thread.dice;
  constexpr uint64_t kWays[] = {1u << 16, 1u << 17, 1u << 18, 5u << 16, 6u << 16};
  const uint64_t feature = dice.Below(13);
  Bytes request;
  request.U32(0).U32(feature | dice.Pick(kWays));
  switch (feature) {
    case 4:  // LOW_POWER_ENTRY_WITH_WAKEUP
      request.U32(static_cast<uint32_t>(thread.holdings.Get(Sort::kEventfd, dice))).U32(0);
      break;
    case 11: {  // DMA_BUF
      const uint64_t ranges = dice.Below(4);
      request.U32(dice.Below(7)).U32(02 | 02000000).U32(0).U32(ranges);
      for (uint64_t i = 0; i < ranges; i++) request.U64(dice.Below(4) * kPage).U64(kPage);
      break;
    }
    default:
      request.U64(dice.Below(3)).U64(0).U64(0).U64(0);
      break;
  }
  return request.Sized();
}

std::vector<std::byte> HotResetRequest(Thread& thread) {
  const uint64_t count = thread.dice.Below(4);
  Bytes request;
  request.U32(0).U32(0).U32(count);
  for (uint64_t i = 0; i < count; i++)
    request.U32(static_cast<uint32_t>(thread.holdings.Get(Sort::kGroup, thread.dice)));
  return request.Sized();
}

std::vector<std::byte> IoeventfdRequest(Thread& thread) {
  Dice& dice = thread.dice;
  const int fd = thread.holdings.Get(dice.Percent(90) ? Sort::kEventfd : Sort::kOther, dice);
  return Bytes()
      .U32(0)
      .U32(1u << dice.Below(4))
      .U64(dice.Below(6) << 40 | dice.Below(64))
      .U64(dice.Below(2) * dice.Next())
      .U32(static_cast<uint32_t>(fd))
      .U32(0)
      .Sized();
}

std::vector<std::byte> RegionInfo(Thread& thread) {
  Bytes info;
  info.U32(0).U32(0).U32(thread.dice.Below(11)).U32(0).U64(0).U64(0);
  for (unsigned i = 0; i < 8; i++) info.U64(0);
  return info.Sized();
}

VfioCall DeviceCall(Kind kind, Thread& thread) {
  Dice& dice = thread.dice;
  const auto call = [&](unsigned long command, std::vector<std::byte> bytes) {
    return VfioCall{kind, command, Sort::kDevice, std::move(bytes)};
  };
  const auto number = [](unsigned n) { return _IO(VFIO_TYPE, VFIO_BASE + n); };
  switch (kind) {
    case Kind::kDeviceGetInfo:
      return call(VFIO_DEVICE_GET_INFO, Bytes().U32(0).U32(0).U32(0).U32(0).U32(0).U32(0).Sized());
    case Kind::kGetRegionInfo:
      return call(VFIO_DEVICE_GET_REGION_INFO, RegionInfo(thread));
    case Kind::kGetIrqInfo:
      return call(VFIO_DEVICE_GET_IRQ_INFO,
                  Bytes().U32(0).U32(0).U32(dice.Below(6)).U32(0).Sized());
    case Kind::kSetIrqs:
      return call(VFIO_DEVICE_SET_IRQS, IrqSet(thread));
    case Kind::kReset:
      return {kind, VFIO_DEVICE_RESET, Sort::kDevice, {}, dice.Boundary()};
    case Kind::kGetHotResetInfo: {
      Bytes info;
      info.U32(0).U32(0).U32(0);
      for (unsigned i = 0; i < 8; i++) info.U64(0);
      return call(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info.Sized());
    }
    case Kind::kHotReset:
      return call(VFIO_DEVICE_PCI_HOT_RESET, HotResetRequest(thread));
    case Kind::kIoeventfd:
      return call(VFIO_DEVICE_IOEVENTFD, IoeventfdRequest(thread));
    case Kind::kFeature:
      return call(VFIO_DEVICE_FEATURE, FeatureRequest(thread));
    default: {
      // Those that vfio-pci does not have: gfx planes, iommufd, migration.
      const unsigned numbers[] = {14, 15, 18, 19, 20, 21};
      const auto which =
          static_cast<std::size_t>(kind) - static_cast<std::size_t>(Kind::kQueryGfxPlane);
      Bytes request;
      request.U32(0).U32(dice.Below(4));
      for (unsigned i = 0; i < 6; i++) request.U64(dice.Below(3));
      const unsigned n = which < 2 ? numbers[which] : numbers[2 + dice.Below(4)];
      return call(number(n), request.Sized());
    }
  }
}

}  // namespace

VfioCall MakeCall(Kind kind, Thread& thread) {
  if (kind <= Kind::kDirtyPages) return ContainerCall(kind, thread);
  if (kind <= Kind::kGetDeviceFd) return GroupCall(kind, thread);
  return DeviceCall(kind, thread);
}

long Perform(Thread& thread, const VfioCall& call, int fd, std::size_t cut, Border border) {
  const bool is_value = call.bytes.empty();
  void* at = is_value ? nullptr : thread.brink.Place(call.bytes, cut, border);
  const auto argument = is_value ? call.value : reinterpret_cast<unsigned long>(at);
  const long result = thread.Call(call.kind, [&] { return ioctl(fd, call.command, argument); });
  if (call.kind == Kind::kGetDeviceFd && result > 2)
    thread.Keep(Sort::kDevice, static_cast<int>(result));
  if (call.kind == Kind::kFeature && result > 2)
    thread.Keep(Sort::kOther, static_cast<int>(result));
  return result;
}

}  // namespace hostile
