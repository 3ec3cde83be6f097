// A descriptor across a UNIX socket.
#pragma once
#include <span>

#include "base/bytes.hpp"
#include "base/unique_fd.hpp"

namespace vfiolab::launcher {

// A bit of a descriptor's register that the kernel does not look at. With it, and without the sign,
// sendmsg() passes the filter: no compiler leaves such a register.
inline constexpr u64 kUnheard = u64{1} << 62;

// False when the other side is gone. A process may send its own listener that way.
bool SendDescriptor(int socket, int descriptor);

struct DescriptorMessage {
  long size = 0;  // bytes received; 0: the other side closed, -1: an error
  UniqueFd descriptor;
};
// Waits for one packet: bytes, or a descriptor with one byte.
DescriptorMessage ReceiveDescriptor(int socket, std::span<std::byte> bytes);

}  // namespace vfiolab::launcher
