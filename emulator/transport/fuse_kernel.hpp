// What the kernel's FUSE protocol has and libfuse 3.14 does not know, or does not pass on.
#pragma once
#include <sys/ioctl.h>

#include "base/bytes.hpp"

namespace vfiolab::fuse {

constexpr u32 kOpcodeInit = 26;
constexpr u32 kOpcodeIoctl = 39;
constexpr u64 kInitExt = u64{1} << 30;
constexpr u64 kParallelLookups = u64{1} << 18;  // FUSE_PARALLEL_DIROPS
constexpr u64 kPassthrough = u64{1} << 37;      // Linux 6.9
constexpr u32 kOpenDirectIo = 1u << 0;
constexpr u32 kOpenNonseekable = 1u << 2;
constexpr u32 kOpenNoFlush = 1u << 5;  // Linux 5.16
constexpr u32 kOpenPassthrough = 1u << 7;

struct InHeader {
  u32 length;
  u32 opcode;
  u64 unique;
  u64 node;
  u32 uid, gid, pid;
  u32 padding;
};
struct IoctlIn {
  u64 handle;
  u32 flags, command;
  u64 argument;
  u32 in_size, out_size;
};
struct InitIn {
  u32 major, minor, max_readahead, flags, flags2;
};
// The reply to INIT, from its start to the last field that matters here.
struct InitOut {
  u32 major, minor, max_readahead, flags;
  u16 max_background, congestion_threshold;
  u32 max_write, time_granularity;
  u16 max_pages, map_alignment;
  u32 flags2, max_stack_depth;
};
static_assert(offsetof(InitOut, max_stack_depth) == 36);

struct OpenOut {
  u64 handle;
  u32 flags;
  int backing_id;
};
static_assert(sizeof(OpenOut) == 16);

struct BackingMap {
  int fd;
  u32 flags;
  u64 padding;
};
constexpr unsigned long kBackingOpen = _IOW(229, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(229, 2, u32);

}  // namespace vfiolab::fuse
