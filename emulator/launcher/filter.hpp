// The seccomp filter that hands a client's untransportable calls to the notifier.
#pragma once
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "tracer/traced_call.hpp"

namespace vfiolab::launcher {

// How much is handed over. A signal can end a call before the notifier has taken it up. That can be
// undone in a thread that is traced; in another, reads and writes are left to FUSE, since no driver
// expects EINTR of a register.
enum class Extent : char {
  kUntraced,  // what FUSE cannot carry, or answers otherwise without being asked
  kTraced,    // and reads and writes at an offset
  kAll,       // and all reads and writes, and what is done to regular files
};

// A file of the tree with a word for each kind of call that this machine wants to have besides.
inline constexpr const char* kWantedCalls = ".wanted-calls";
inline constexpr std::string_view kWantedMemory = "memory", kWantedIoctls = "ioctls",
                                  kWantedNetlink = "netlink";

// What a filter hands over.
struct HandedOver {
  Extent extent = Extent::kUntraced;
  bool memory = false;   // also what takes memory away from the process, which is to be traced
  bool ioctls = false;   // also each ioctl of VFIO
  bool netlink = false;  // also what is sent and received on sockets
};

// What the file says.
HandedOver ReadWantedCalls(const std::string& tree);

// Puts the filter on the calling thread and all that it will start, and returns the listener.
// Everything but the handed-over calls goes through untouched. EBUSY: there is a listener already
// (vfiolab inside vfiolab); EPERM: no_new_privs could not be set.
Result<UniqueFd> InstallFilter(HandedOver what);

// What shall become of a call under this filter that a signal has ended.
tracer::Restart RestartOf(HandedOver what, const tracer::SystemCall& call);

}  // namespace vfiolab::launcher
