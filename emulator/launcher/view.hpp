// The private view of a client: /dev/vfio and the PCI and IOMMU parts of /sys are the emulator's,
// the rest is the host's.
#pragma once
#include <string>

#include "base/result.hpp"

namespace vfiolab::launcher {

// Leaves the host's mount namespace; as another user than root a user namespace comes with it. To
// be called while there is one thread. EPERM says which privilege is missing.
Result<> EnterPrivateNamespace();

// An existing directory where a mount disturbs nobody, in a namespace of our own.
Result<std::string> StagingDirectory();

// Makes the calling process, and all that it starts, see the tree that is mounted at `tree`: in a
// mount namespace of its own. With `hide_tree` the mount itself disappears from that view.
Result<> BuildView(const std::string& tree, bool hide_tree);

}  // namespace vfiolab::launcher
