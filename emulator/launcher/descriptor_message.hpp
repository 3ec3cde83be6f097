// A descriptor across a UNIX socket.
#pragma once
#include <span>

#include "base/unique_fd.hpp"

namespace vfiolab::launcher {

// False when the other side is gone.
bool SendDescriptor(int socket, int descriptor);

struct DescriptorMessage {
  long size = 0;  // bytes received; 0: the other side closed, -1: an error
  UniqueFd descriptor;
};
// Waits for one packet: bytes, or a descriptor with one byte.
DescriptorMessage ReceiveDescriptor(int socket, std::span<std::byte> bytes);

}  // namespace vfiolab::launcher
