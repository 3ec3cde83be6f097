// The seccomp filter that hands a client's untransportable calls to the notifier.
#pragma once
#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace vfiolab::launcher {

// Puts the filter on the calling thread and all that it will start, and returns the listener.
// Everything but the handed-over calls goes through untouched. EBUSY: there is a listener already
// (vfiolab inside vfiolab); EPERM: no_new_privs could not be set.
Result<UniqueFd> InstallFilter();

}  // namespace vfiolab::launcher
