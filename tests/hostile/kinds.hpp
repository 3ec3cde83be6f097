// What clients call, by name, for counts and for finding who is in the middle of what.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace hostile {

// clang-format off
#define HOSTILE_KINDS(X) \
  X(GetApiVersion) X(CheckExtension) X(SetIommu) X(GetInfo) X(MapDma) X(UnmapDma) X(DirtyPages) \
  X(GroupGetStatus) X(SetContainer) X(UnsetContainer) X(GetDeviceFd) \
  X(DeviceGetInfo) X(GetRegionInfo) X(GetIrqInfo) X(SetIrqs) X(Reset) X(GetHotResetInfo) X(HotReset) \
  X(QueryGfxPlane) X(GetGfxDmabuf) X(Ioeventfd) X(Feature) X(BindIommufd) X(AttachPt) X(DetachPt) \
  X(PrecopyInfo) X(UnknownIoctl) \
  X(Open) X(Close) X(Read) X(Write) X(Mmap) X(Munmap) X(Mremap) X(Touch) X(File) X(Poll) \
  X(Pass) X(Fork) X(Exec) X(SysfsRead) X(SysfsWrite)
// clang-format on

enum class Kind : uint8_t {
#define HOSTILE_ENTRY(name) k##name,
  HOSTILE_KINDS(HOSTILE_ENTRY)
#undef HOSTILE_ENTRY
      kCount,
  kNone = 255
};

constexpr std::size_t kKinds = static_cast<std::size_t>(Kind::kCount);
constexpr std::size_t kIoctls = static_cast<std::size_t>(Kind::kUnknownIoctl);

constexpr std::array<const char*, kKinds> kKindNames{
#define HOSTILE_ENTRY(name) #name,
    HOSTILE_KINDS(HOSTILE_ENTRY)
#undef HOSTILE_ENTRY
};

// Calls that may wait for other clients by design: an unbind waits until a device is closed.
constexpr bool MayWait(Kind kind) { return kind == Kind::kSysfsWrite; }

}  // namespace hostile
