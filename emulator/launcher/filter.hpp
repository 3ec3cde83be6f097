// The seccomp filter that hands a client's untransportable calls to the notifier.
#pragma once
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "tracer/traced_call.hpp"

namespace vfiolab::launcher {

// Puts the filter on the calling thread and all that it will start, and returns the listener.
// Everything but the handed-over calls goes through untouched. EBUSY: there is a listener already
// (vfiolab inside vfiolab); EPERM: no_new_privs could not be set.
//
// A signal can end a call before the notifier has taken it up. Where the thread is `traced`, that
// is undone (IsHandedOver); else reads and writes at an offset are left to FUSE, since no driver
// expects EINTR of a register.
Result<UniqueFd> InstallFilter(bool traced);

// Whether the filter of a traced thread hands such a call over.
bool IsHandedOver(const tracer::SystemCall& call);

}  // namespace vfiolab::launcher
