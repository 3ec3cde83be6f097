// The emulated host as the threads of this process see it: their system calls on paths and
// descriptors of it come here.
#pragma once
#include <stdlib.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>

#include "in_process/process.hpp"
#include "preload/own_paths.hpp"
#include "preload/service.hpp"

namespace vfiolab::preload {

// Results are as those of system calls: a value, or an errno.
class Host {
 public:
  // Null where there is none: outside of `vfiolab run`, and while this library is at work itself.
  static Host* Get();
  // The topology's path; null outside of `vfiolab run`.
  static const char* Topology() { return ::getenv("VFIOLAB_TOPOLOGY"); }
  // The same for a descriptor: null, too, when it is not the emulated host's. Costs a few
  // nanoseconds.
  static Host* Of(int fd) { return IsFile(KindOf(fd)) ? Get() : nullptr; }
  static bool IsGenericNetlink(int fd) { return KindOf(fd) == Kind::kGenericNetlink; }
  // The same of a socket of generic netlink.
  static Host* OfGenericNetlink(int fd) { return IsGenericNetlink(fd) ? Get() : nullptr; }
  static void AddGenericNetlink(int fd);
  // The same where files of devices may be mapped; else null.
  static Host* WithWindows() {
    return has_windows.load(std::memory_order_relaxed) ? Get() : nullptr;
  }
  static constexpr std::size_t LastDescriptor() { return kMostDescriptors - 1; }

  // Where a path leads that a call is given; `directory` is a descriptor, or AT_FDCWD.
  struct Place {
    bool is_own = false;  // on the emulated host
    std::string path;     // in full; empty: as it was given
  };
  Place Locate(int directory, const char* path);

  Result<int> Open(const std::string& path, int flags);
  Result<int> OpenAnew(int fd, int flags);
  // By a path, or of a descriptor.
  Result<> SetAttributes(const std::string& path, std::optional<mode_t> mode,
                         DeviceNode::Owner owner);
  Result<> SetAttributes(int fd, std::optional<mode_t> mode, DeviceNode::Owner owner);
  Result<> Close(int fd);
  // `to` < 0: any number from `least` on.
  Result<int> Duplicate(int fd, int to, int least, bool close_on_exec);
  Result<long> Ioctl(int fd, u32 command, u64 argument);
  Result<long> Read(int fd, u64 buffer, u64 size, std::optional<u64> offset = {});
  Result<long> Write(int fd, u64 buffer, u64 size, std::optional<u64> offset = {});
  Result<long> Seek(int fd, off_t offset, int whence);
  Result<u64> Mmap(u64 address, u64 length, int protection, int flags, int fd, u64 offset);
  // Memory of this process has gone, or another has come in its place.
  void ForgetWindows(u64 address, u64 length);
  // mprotect.
  Result<> Protect(u64 address, u64 length, int protection);
  void RefreshLimits();

  // Calls on sockets of generic netlink, as in_process/sockets.hpp has them.
  std::optional<long> Send(const SocketCall& call);
  Result<long> ReceiveNow(const SocketCall& call, unsigned index);

  Result<struct stat> Stat(const std::string& path, bool follow);
  Result<struct stat> StatDescriptor(int fd);
  Result<std::string> ReadLink(const std::string& path);
  Result<std::string> RealPath(const std::string& path);
  // A directory of the real host with the names of that of the emulated one, and what stands for
  // the path there.
  Result<std::string> Mirror(const std::string& path);
  // Whether both hosts have the directory.
  bool IsShared(const std::string& path);
  // Remembers that a descriptor is of a directory of the mirror.
  void AddDirectory(int fd, std::string path);
  // Nothing: it is one of the real host.
  void SetWorkingDirectory(std::optional<std::string> path);
  std::optional<std::string> WorkingDirectory();
  // `made` is a number that the kernel has made of `fd`, which is no file of ours.
  static void Share(int fd, int made);
  // A descriptor has gone that may have been one, or was of a process that this one was forked
  // from.
  static void Forget(int fd);

 private:
  // Lost: of a process that this one was forked from.
  enum class Kind : char { kNone, kFile, kLost, kDirectory, kGenericNetlink };
  static constexpr std::size_t kMostDescriptors = 1 << 16;
  inline static std::array<std::atomic<Kind>, kMostDescriptors> kind_of{};
  static Kind KindOf(int fd) {
    const auto at = static_cast<std::size_t>(fd);
    return at < kMostDescriptors ? kind_of[at].load(std::memory_order_relaxed) : Kind::kNone;
  }
  static bool IsFile(Kind kind) { return kind == Kind::kFile || kind == Kind::kLost; }
  inline static std::atomic<bool> has_windows{false};

  class Turn;
  // ENODEV: the descriptor is of another process's host.
  static Result<> CheckHere(int fd);
  Result<int> Opened(int fd, int flags);
  Host(const topology::TopologySpec& spec, std::string tree);
  static Host* Make();
  Result<struct stat> StatNode(const in_process::Walked& found);
  dev_t NumberOf(const std::string& path);
  Result<in_process::Walked> Find(const std::string& path, bool follow);

  void TraceTo(const char* path);
  // After a call: the service may have to look earlier than it knows of.
  void TellService();
  Service::Wait Step();
  Completion WaitFor(PendingCall& pending);
  static void OnFork();

  std::mutex mutex_;
  std::condition_variable done_;  // some call that waits
  std::string tree_;              // of the mirror
  in_process::Process process_;
  std::map<int, std::string> directories_;
  std::optional<std::string> working_directory_;
  pid_t process_id_;
  std::optional<Time> next_;  // what the service waits for
  std::size_t watched_ = 0;
  std::optional<Service> service_;
};

}  // namespace vfiolab::preload
