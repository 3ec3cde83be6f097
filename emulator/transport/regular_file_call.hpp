// Calls that the kernel makes on our files as on any regular file, since they are that to FUSE,
// and that a device's file refuses: fsync, ftruncate, fallocate, epoll_ctl, splice ...
#pragma once
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <array>

#include "process/caller.hpp"
#include "transport/trapped_call.hpp"

namespace vfiolab {

constexpr std::array<int, 7> kRegularFileCalls{SYS_fsync,          SYS_fdatasync, SYS_ftruncate,
                                               SYS_fallocate,      SYS_epoll_ctl, SYS_readahead,
                                               SYS_sync_file_range};
// Of fcntl: these commands.
constexpr std::array<unsigned, 3> kRegularFileCommands{F_GETFL, F_SETFL, F_SETLEASE};
// What the kernel itself makes of these, of a regular file; a device's file is asked.
constexpr std::array<unsigned, 3> kRegularFileIoctls{FIBMAP, FIONREAD, FIOQSIZE};
// And what it makes of these, of any file.
constexpr std::array<unsigned, 6> kGenericIoctls{FIFREEZE,      FITHAW,  FS_IOC_FIEMAP,
                                                 FIDEDUPERANGE, FICLONE, FICLONERANGE};
// Between two descriptors.
constexpr std::array<int, 3> kCopyCalls{SYS_sendfile, SYS_splice, SYS_copy_file_range};

// Answers one of those calls, of which a descriptor is ours; leaves it to the kernel where that
// refuses it of any file. In the core's turn.
void AnswerRegularFileCall(CallerServices& services, TrappedCall& call, const OpenFile& file);

}  // namespace vfiolab
