// The one way into the core. Every input is numbered and, when someone listens, written down; time
// moves only here. One thread at a time.
#pragma once
#include "base/clock.hpp"
#include "base/trace.hpp"
#include "vfs/netlink.hpp"
#include "vfs/node.hpp"

namespace vfiolab {

class Machine;

class Door {
 public:
  explicit Door(Machine& machine) : machine_(machine) {}

  // Calls of a client, each at the instant `now`.
  Reply Open(Time now, CallContext& caller, FileNode& node, std::string_view path, int flags);
  Reply Ioctl(Time now, CallContext& caller, OpenFile& file, u32 command, u64 argument);
  Reply Seek(Time now, CallContext& caller, OpenFile& file, off_t offset, int whence);
  Reply Read(Time now, CallContext& caller, OpenFile& file, std::span<std::byte> to, u64 offset);
  Reply Write(Time now, CallContext& caller, OpenFile& file, std::span<const std::byte> from,
              u64 offset);
  // What a processor's load or store on a mapping of `file` comes to.
  Reply Load(Time now, CallContext& caller, OpenFile& file, std::span<std::byte> to, u64 offset);
  Reply Store(Time now, CallContext& caller, OpenFile& file, std::span<const std::byte> from,
              u64 offset);
  Result<u64> Mmap(Time now, CallContext& caller, OpenFile& file, const MmapRequest& request);
  // The caller is about to unmap its memory there, or to put other memory in its place.
  void Unmap(Time now, CallContext& caller, ClientAddress from, u64 size);
  // A message to a family of generic netlink.
  Result<> Message(Time now, pid_t tid, NetlinkFamily& family, const NetlinkRequest& request);
  // The last descriptor is gone.
  void Release(Time now, std::shared_ptr<OpenFile> file);

  // Time alone; runs the timers that are due.
  void Tick(Time now);
  // Something the environment watches came to pass (an eventfd was signalled, a person commands).
  void Event(Time now, std::string_view what, const std::function<void()>& act);

 private:
  template <class F>
  void Enter(Time now, F&& text);
  void Leave(Reply& reply);

  Machine& machine_;
};

}  // namespace vfiolab
