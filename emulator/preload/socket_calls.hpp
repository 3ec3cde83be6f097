// Calls that send or receive, where they may be of generic netlink.
#pragma once
#include <unistd.h>

#include <optional>

#include "netlink/socket_call.hpp"
#include "preload/host.hpp"

namespace vfiolab::preload {

// What the C library's function returns; nothing: the call is the kernel's.
std::optional<long> SendHere(const SocketCall& call);
std::optional<long> ReceiveHere(const SocketCall& call);

// The same of a call with these arguments. Costs a few nanoseconds where it is not ours.
template <class... Arguments>
std::optional<long> Here(std::optional<long> (*make)(const SocketCall&), int number, int fd,
                         Arguments... arguments) {
  if (!Host::IsGenericNetlink(fd)) return std::nullopt;
  const auto raw = [](auto argument) {
    if constexpr (std::is_pointer_v<decltype(argument)>)
      return reinterpret_cast<u64>(argument);
    else
      return static_cast<u64>(argument);
  };
  return make({number, ::gettid(), {static_cast<u64>(fd), raw(arguments)...}});
}

}  // namespace vfiolab::preload
