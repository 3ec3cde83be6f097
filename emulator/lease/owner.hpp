// The emulated host of another process, for one that has not the lease.
#pragma once
#include <cerrno>
#include <functional>

#include "lease/lease.hpp"
#include "lease/messages.hpp"
#include "netlink/socket_call.hpp"
#include "vfs/node.hpp"

namespace vfiolab::lease {

// In the turn of this process.
class Owner {
 public:
  // `aside` runs what may wait, while other threads of this process have the turn.
  using Aside = std::function<void(const std::function<void()>&)>;
  Owner(const Lease& lease, Aside aside);

  // What all of these fail with where nobody is there to answer.
  static constexpr int kGone = EOWNERDEAD;
  Result<Completion> Open(const std::string& path, int flags);
  Result<std::shared_ptr<OpenFile>> Find(u64 lease, u64 file, std::string& path, int& flags);
  Result<> SetAttributes(const std::string& path, std::optional<mode_t> mode,
                         DeviceNode::Owner owner);
  Result<> Unmap(u64 address, u64 size);
  std::optional<long> Send(const SocketCall& call);

  // The answer to a request.
  using Answered = Channel::Received<Answer>;
  Result<Answered> Ask(Request request, std::span<const std::byte> bytes = {});
  // The completion that an answer tells of.
  Completion Complete(Answered answered);

  // In a child: the parent's connections are not its own.
  void Forget();

 private:
  const Lease& lease_;
  Aside aside_;
  std::vector<Channel> free_;  // connections that no call has
};

// Tells the user, once, that files have gone with the process that had them.
void SayGone();

}  // namespace vfiolab::lease
