// A string that an ioctl's argument points to, as strndup_user() copies it.
#pragma once
#include <string>

#include "uapi/ioctl_table.hpp"

namespace vfiolab::uapi {

// EFAULT: the string runs into memory that cannot be read. EINVAL: no end within a page.
Result<std::string> CopyInString(const IoctlCall& call);

}  // namespace vfiolab::uapi
