// The calls that FUSE cannot carry, or not exactly: those that return a descriptor, mmap, lseek,
// reads and writes, and what a regular file would answer otherwise than a device; and messages of
// generic netlink. The launcher's seccomp filter hands them over; clients outside it do without.
#pragma once
#include <list>
#include <map>
#include <memory>

#include "transport/cuse_server.hpp"
#include "transport/fuse_server.hpp"
#include "transport/netlink_calls.hpp"
#include "transport/side_thread.hpp"
#include "transport/trapped_call.hpp"

namespace vfiolab {

class Notifier {
 public:
  // `cuse` and `family`, a family of generic netlink, are null or outlive this.
  Notifier(EventLoop& loop, FileCalls& calls, FuseServer& fuse, CuseServer* cuse,
           NetlinkFamily* family);
  // The loop must not run any more.
  ~Notifier();

  // Serves a listener (a descriptor of SECCOMP_FILTER_FLAG_NEW_LISTENER) until the last process
  // under its filter is gone. From any thread.
  void Add(UniqueFd listener);

 private:
  struct Listener;
  using Call = std::shared_ptr<TrappedCall>;
  using File = std::shared_ptr<OpenFile>;

  void Wait(const std::shared_ptr<Listener>& listener);
  void OnReadable(const std::shared_ptr<Listener>& listener);
  // Takes up one call; false when none waits.
  bool TakeCall(const std::shared_ptr<Listener>& listener);
  // Handles the call if one of its descriptors is ours.
  void FindFile(const Call& call);
  // The same for this descriptor; false when it is not.
  bool FindFile(const Call& call, int descriptor);
  // `file` is what the call is about; null when it is not open any more.
  void Handle(const Call& call, const File& file);
  void HandleIoctl(const Call& call, OpenFile& file);
  void HandleMmap(const Call& call, OpenFile& file);
  // Has the mapping begin there.
  void MoveMapping(const Call& call, u64 offset);
  void HandleSeek(const Call& call, OpenFile& file);
  void Install(const Call& call, const std::string& offer, int flags);

  EventLoop& loop_;
  FileCalls& calls_;
  FuseServer& fuse_;
  CuseServer* cuse_;
  std::unique_ptr<NetlinkCalls> netlink_;           // where there is a family
  std::list<std::shared_ptr<Listener>> listeners_;  // in the core's turn
  std::weak_ptr<Listener> latest_;                  // where the last call came from
  std::map<pid_t, u64> moved_;                      // mappings whose call is made again
  // Opens files of `fuse_`, and asks `cuse_`.
  std::unique_ptr<SideThread> side_ = std::make_unique<SideThread>();
};

}  // namespace vfiolab
